import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { type Auth, createAuth } from '#auth/auth.ts';
import { ensureAdministrator } from '#auth/users/first-administrator.ts';
import type { Config } from '#config/schema.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { messageOf } from '#errors/errors.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import { Refusal } from './refusal.ts';

type AuthConfig = Config['registry']['auth'];

/** Users, policies and tokens over the registry's database, whether or not the registry asks for them. */
export function openAuth(db: RegistryDatabase, config: AuthConfig): Auth {
  return createAuth({ db, record: recordEvents }, { ...config, realm: config.realm ?? undefined });
}

/** Makes the first administrator of a registry that has none, and says the password if it had to make one up. */
export async function startAuth(auth: Auth, config: AuthConfig, logger: Logger): Promise<void> {
  const { name, password, passwordFile } = config.initialAdmin;
  if (name === null) return;
  const made = await ensureAdministrator(auth, {
    name,
    password: async () =>
      passwordFile === null ? (password ?? undefined) : await readPassword(passwordFile),
  });
  if (made) {
    logger.warn(
      `made the administrator '${name}' with the password ${made.generated} (it is not shown again)`,
    );
  }
}

async function readPassword(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new Refusal(`registry.auth.initialAdmin.passwordFile: ${messageOf(error)}`, { cause: error });
  }
}
