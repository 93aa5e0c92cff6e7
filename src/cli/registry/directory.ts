import { accessSync, constants, mkdirSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import type { Config } from '#config/schema.ts';
import { accountToBecome, become, handOver } from '../process/privileges.ts';
import { Refusal } from '../refusal.ts';

/**
 * Makes the registry's directory and, as root, becomes the account that it belongs to: for good, and with all code
 * loaded. Returns the directory.
 */
export function enterRegistryDirectory(config: Config): string {
  const directory = join(config.dataDir, 'registry');
  mkdirSync(config.dataDir, { recursive: true, mode: 0o711 });
  const account = accountToBecome(config.registry.user);
  if (!account) {
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    return directory;
  }
  handOver(directory, account);
  flushCompileCache();
  become(account);
  try {
    accessSync(directory, constants.W_OK);
  } catch (error) {
    throw new Refusal(
      `user '${account.name}' cannot reach ${directory}: a folder above it is closed to others`,
      { cause: error },
    );
  }
  return directory;
}
