import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '#config/config-error.ts';
import type { Config } from '#config/schema.ts';
import type { DatabaseOptions } from '#database/open.ts';
import { messageOf } from '#errors/errors.ts';

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
  const { url, urlFile, maxConnections, connectTimeout, statementTimeout } = postgres;
  return {
    driver,
    url: url ?? (await urlIn(urlFile!)),
    applicationName: 'slipway pool',
    maxConnections,
    connectTimeout,
    statementTimeout,
  };
}

async function urlIn(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new ConfigError(`pool.database.postgres.urlFile: ${messageOf(error)}`);
  }
}
