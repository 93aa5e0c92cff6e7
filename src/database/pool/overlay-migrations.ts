import { type Migration, sql } from 'kysely';
import type { TableWords } from '../table-words.ts';

/** Below are numbers that other software likes to use. */
const FIRST_VNI = 4_097;

export function overlayMigrations(words: TableWords): Record<string, Migration> {
  return {
    'pool-0040-overlay': overlay(words),
    'pool-0041-published-ports': ports(words),
    'pool-0062-ports-of-tenants': portsOfTenants(words),
  };
}

function overlay(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('overlay_lock')
        .addColumn('id', 'integer', (column) => column.primaryKey().notNull())
        .addColumn('next_vni', 'integer', (column) => column.notNull())
        .execute();
      await sql`insert into overlay_lock (id, next_vni) values (1, ${FIRST_VNI})`.execute(db);
      await db.schema
        .createTable('overlay_networks')
        .addColumn('id', words.name, (column) => column.primaryKey().notNull())
        .addColumn('tenant', words.name, (column) => column.notNull().defaultTo(''))
        .addColumn('vni', 'integer', (column) => column.notNull().unique())
        .addColumn('network', 'text', (column) => column.notNull())
        .addColumn('revision', 'bigint', (column) => column.notNull().defaultTo(0))
        .addColumn('last_address', 'bigint', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('overlay_endpoints')
        .addColumn('network_id', words.name, (column) => column.notNull().references('overlay_networks.id'))
        .addColumn('container_id', words.name, (column) => column.notNull())
        .addColumn('worker', words.name, (column) => column.notNull())
        .addColumn('endpoint_id', 'text', (column) => column.notNull())
        .addColumn('container_name', 'text', (column) => column.notNull())
        .addColumn('ipv4_address', words.name, (column) => column.notNull())
        .addColumn('mac_address', 'text', (column) => column.notNull())
        .addColumn('names', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('overlay_endpoints_key', ['network_id', 'container_id'])
        .addUniqueConstraint('overlay_endpoints_address', ['network_id', 'ipv4_address'])
        .execute();
      await db.schema
        .createIndex('overlay_endpoints_worker')
        .on('overlay_endpoints')
        .column('worker')
        .execute();
      await db.schema
        .createTable('overlay_workers')
        .addColumn('worker', words.name, (column) => column.primaryKey().notNull())
        .addColumn('address', 'text', (column) => column.notNull())
        .addColumn('public_key', 'text')
        .addColumn('wireguard_port', 'integer')
        .execute();
    },
  };
}

function ports(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('published_ports')
        .addColumn('protocol', words.name, (column) => column.notNull())
        .addColumn('port', 'integer', (column) => column.notNull())
        .addColumn('container_id', words.name, (column) => column.notNull())
        .addColumn('worker', words.name, (column) => column.notNull())
        .addColumn('starting_at', 'bigint')
        .addPrimaryKeyConstraint('published_ports_key', ['protocol', 'port'])
        .execute();
      await db.schema
        .createIndex('published_ports_container')
        .on('published_ports')
        .column('container_id')
        .execute();
    },
  };
}

function portsOfTenants(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .alterTable('published_ports')
        .addColumn('tenant', words.name, (column) => column.notNull().defaultTo(''))
        .execute();
    },
  };
}
