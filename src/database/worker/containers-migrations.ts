import { type Migration, sql } from 'kysely';

export const containerMigrations: Record<string, Migration> = {
  'containers-0001-containers': {
    up: async (db) => {
      await db.schema
        .createTable('containers')
        .addColumn('sequence', 'integer', (column) => column.primaryKey().autoIncrement())
        .addColumn('id', 'text', (column) => column.notNull().unique())
        .addColumn('name', 'text', (column) => column.unique())
        .addColumn('record', 'text', (column) => column.notNull().check(sql`json_valid(record)`))
        .execute();
    },
  },
};
