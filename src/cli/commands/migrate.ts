import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  migrateRegistryDatabase,
  type RegistryDatabaseOptions,
  registryMigrationStatus,
} from '#database/registry/open.ts';
import { Refusal } from '../refusal.ts';
import { registryDatabaseOptions } from '../registry/database.ts';
import type { Command } from './command.ts';
import type { Output } from './output.ts';

export const migrate: Command = {
  summary: "Bring the registry's database forward to this version",
  options: {
    'dry-run': { type: 'boolean', description: 'Say what would be done, and do nothing' },
  },
  async run({ config, options, output }) {
    const database = await registryDatabaseOptions(config);
    if (database.driver === 'sqlite') await mkdir(dirname(database.file), { recursive: true });
    if (options['dry-run']) await report(database, output);
    else await bringForward(database, output);
  },
};

async function bringForward(database: RegistryDatabaseOptions, output: Output): Promise<void> {
  const applied = await migrateRegistryDatabase(database);
  output.result(lines(applied, 'applied', 'The database is up to date.'), { applied });
}

async function report(database: RegistryDatabaseOptions, output: Output): Promise<void> {
  const { applied, pending, unknown } = await registryMigrationStatus(database);
  const text = lines(pending, 'would apply', `The database is up to date: ${applied.length} applied.`);
  output.result(text, { applied, pending, unknown });
  if (unknown.length > 0) {
    throw new Refusal(`a newer Slipway applied ${unknown.join(', ')}: this one would not understand it`);
  }
}

function lines(names: readonly string[], verb: string, otherwise: string): string {
  return names.length === 0 ? otherwise : names.map((name) => `${verb} ${name}`).join('\n');
}
