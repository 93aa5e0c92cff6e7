import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '#config/schema.ts';
import type { DatabaseOptions } from '#database/open.ts';
import { databaseUrl } from '../storage/database-url.ts';

/** Where the pool's state is: `pool/pool.db` in the data directory, or PostgreSQL. */
export async function poolDatabaseOptions(
  config: Pick<Config, 'dataDir' | 'pool'>,
): Promise<DatabaseOptions> {
  const { driver, postgres } = config.pool.database;
  if (driver === 'sqlite') {
    const directory = join(config.dataDir, 'pool');
    mkdirSync(config.dataDir, { recursive: true, mode: 0o711 });
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return { driver, file: join(directory, 'pool.db') };
  }
  const { maxConnections, connectTimeout, statementTimeout } = postgres;
  return {
    driver,
    url: await databaseUrl('pool.database.postgres', postgres),
    applicationName: 'slipway pool',
    maxConnections,
    connectTimeout,
    statementTimeout,
  };
}
