import type { Kysely, Migration } from 'kysely';

export const networkMigrations: Record<string, Migration> = {
  'networks-0001-networks': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('networks')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('name', 'text', (column) => column.notNull().unique())
        .addColumn('driver', 'text', (column) => column.notNull())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('bridge', 'text', (column) => column.notNull())
        .addColumn('internal', 'integer', (column) => column.notNull())
        .addColumn('attachable', 'integer', (column) => column.notNull())
        .addColumn('ipv6', 'integer', (column) => column.notNull())
        .addColumn('ipam_json', 'text', (column) => column.notNull())
        .addColumn('options_json', 'text', (column) => column.notNull())
        .addColumn('labels_json', 'text', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('sandboxes')
        .addColumn('container_id', 'text', (column) => column.primaryKey())
        .addColumn('container_name', 'text', (column) => column.notNull())
        .addColumn('hostname', 'text', (column) => column.notNull())
        .addColumn('mode', 'text', (column) => column.notNull())
        .addColumn('namespace', 'text', (column) => column.notNull())
        .addColumn('ports_json', 'text', (column) => column.notNull())
        .addColumn('resolver_json', 'text', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('endpoints')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('container_id', 'text', (column) =>
          column.notNull().references('sandboxes.container_id').onDelete('cascade'),
        )
        .addColumn('network_id', 'text', (column) => column.notNull().references('networks.id'))
        .addColumn('position', 'integer', (column) => column.notNull())
        .addColumn('interface_name', 'text', (column) => column.notNull())
        .addColumn('host_interface', 'text', (column) => column.notNull())
        .addColumn('mac_address', 'text', (column) => column.notNull())
        .addColumn('ipv4_address', 'text', (column) => column.notNull())
        .addColumn('ipv6_address', 'text', (column) => column.notNull())
        .addColumn('aliases_json', 'text', (column) => column.notNull())
        .addColumn('links_json', 'text', (column) => column.notNull())
        .execute();
      await db.schema
        .createIndex('endpoints_address')
        .on('endpoints')
        .columns(['network_id', 'ipv4_address'])
        .unique()
        .where('ipv4_address' as never, '<>', '')
        .execute();
      await db.schema.createIndex('endpoints_container').on('endpoints').column('container_id').execute();
    },
  },
};
