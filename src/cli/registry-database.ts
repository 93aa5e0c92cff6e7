import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '#config/config-error.ts';
import type { Config } from '#config/schema.ts';
import type { RegistryDatabaseOptions } from '#database/registry/open.ts';
import { messageOf } from '#errors/errors.ts';

/** What of the configuration says where metadata is. */
export type RegistryDatabaseConfig = Pick<Config, 'dataDir'> & {
  registry: { database: Config['registry']['database'] };
};

/** Where the configuration puts metadata: `registry.db` in the registry's folder, or PostgreSQL. */
export async function registryDatabaseOptions(
  config: RegistryDatabaseConfig,
): Promise<RegistryDatabaseOptions> {
  const { driver, postgres } = config.registry.database;
  if (driver === 'sqlite') return { driver, file: join(config.dataDir, 'registry', 'registry.db') };
  const { url, urlFile, maxConnections, connectTimeout, statementTimeout } = postgres;
  return {
    driver,
    url: url ?? (await urlIn(urlFile!)),
    applicationName: 'slipway registry',
    maxConnections,
    connectTimeout,
    statementTimeout,
  };
}

async function urlIn(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new ConfigError(`registry.database.postgres.urlFile: ${messageOf(error)}`);
  }
}
