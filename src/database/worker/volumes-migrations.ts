import type { Kysely, Migration } from 'kysely';

export const volumeMigrations: Record<string, Migration> = {
  'volumes-0001-volumes': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('volumes')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('labels_json', 'text', (column) => column.notNull())
        .addColumn('options_json', 'text', (column) => column.notNull())
        .addColumn('anonymous', 'integer', (column) => column.notNull())
        .addColumn('removing', 'integer', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('volume_users')
        .addColumn('volume', 'text', (column) =>
          column.notNull().references('volumes.name').onDelete('cascade'),
        )
        .addColumn('container_id', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('volume_users_key', ['volume', 'container_id'])
        .execute();
    },
  },
};
