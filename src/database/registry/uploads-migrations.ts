import type { Migration } from 'kysely';

export function uploadsMigrations(): Record<string, Migration> {
  return { 'registry-0005-upload-holders': uploadHolders() };
}

/** Which process works on an upload. */
function uploadHolders(): Migration {
  return {
    async up(db) {
      const table = () => db.schema.alterTable('uploads');
      await table().addColumn('holder', 'text').execute();
      await table()
        .addColumn('held_until', 'bigint', (column) => column.notNull().defaultTo(0))
        .execute();
      await table()
        .addColumn('token', 'bigint', (column) => column.notNull().defaultTo(0))
        .execute();
      await table()
        .addColumn('suspect', 'integer', (column) => column.notNull().defaultTo(0))
        .execute();
    },
  };
}
