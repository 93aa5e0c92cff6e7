import { join } from 'node:path';
import type { Config } from '#config/schema.ts';
import type { RegistryDatabaseOptions } from '#database/registry/open.ts';
import { databaseUrl } from '../storage/database-url.ts';

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
  const { maxConnections, connectTimeout, statementTimeout } = postgres;
  return {
    driver,
    url: await databaseUrl('registry.database.postgres', postgres),
    applicationName: 'slipway registry',
    maxConnections,
    connectTimeout,
    statementTimeout,
  };
}
