import type { Migration } from 'kysely';
import type { TableWords } from '../table-words.ts';

export function authMigrations(words: TableWords): Record<string, Migration> {
  return { 'registry-0003-auth': auth(words) };
}

function auth(words: TableWords): Migration {
  return {
    async up(db) {
      await db.schema
        .createTable('users')
        .addColumn('name', words.name, (column) => column.primaryKey().notNull())
        .addColumn('display_name', 'text')
        .addColumn('email', 'text')
        .addColumn('password_hash', 'text')
        .addColumn('disabled_at', 'bigint')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('last_login_at', 'bigint')
        .execute();

      await db.schema
        .createTable('user_identities')
        .addColumn('issuer', words.name, (column) => column.notNull())
        .addColumn('subject', words.name, (column) => column.notNull())
        .addColumn('user_name', words.name, (column) =>
          column.notNull().references('users.name').onDelete('cascade'),
        )
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('user_identities_key', ['issuer', 'subject'])
        .execute();

      await db.schema
        .createTable('robots')
        .addColumn('name', words.name, (column) => column.primaryKey().notNull())
        .addColumn('description', 'text', (column) => column.notNull())
        .addColumn('disabled_at', 'bigint')
        .addColumn('expires_at', 'bigint')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('created_by', 'text', (column) => column.notNull())
        .execute();

      await db.schema
        .createTable('secrets')
        .addColumn('id', words.name, (column) => column.primaryKey().notNull())
        .addColumn('owner', words.name, (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull())
        .addColumn('description', 'text', (column) => column.notNull())
        .addColumn('permissions', 'text')
        .addColumn('expires_at', 'bigint')
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('last_used_at', 'bigint')
        .execute();
      await db.schema.createIndex('secrets_by_owner').on('secrets').column('owner').execute();

      await db.schema
        .createTable('grants')
        .addColumn('subject', words.name, (column) => column.notNull())
        .addColumn('pattern', words.name, (column) => column.notNull())
        .addColumn('actions', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('created_by', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('grants_key', ['subject', 'pattern'])
        .modifyEnd(words.byKey)
        .execute();

      await db.schema
        .createTable('group_members')
        .addColumn('group_name', words.name, (column) => column.notNull())
        .addColumn('member', words.name, (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('group_members_key', ['group_name', 'member'])
        .modifyEnd(words.byKey)
        .execute();
      await db.schema.createIndex('group_members_by_member').on('group_members').column('member').execute();

      await db.schema
        .createTable('trust_policies')
        .addColumn('name', words.name, (column) => column.primaryKey().notNull())
        .addColumn('issuer', words.name, (column) => column.notNull())
        .addColumn('audience', 'text', (column) => column.notNull())
        .addColumn('claims', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('created_by', 'text', (column) => column.notNull())
        .execute();

      await db.schema
        .createTable('refresh_tokens')
        .addColumn('id', words.name, (column) => column.primaryKey().notNull())
        .addColumn('hash', 'text', (column) => column.notNull())
        .addColumn('principal', words.name, (column) => column.notNull())
        .addColumn('secret_id', words.name, (column) => column.references('secrets.id').onDelete('cascade'))
        .addColumn('client_id', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('expires_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createIndex('refresh_tokens_by_principal')
        .on('refresh_tokens')
        .columns(['principal', 'created_at'])
        .execute();
      await db.schema
        .createIndex('refresh_tokens_by_secret')
        .on('refresh_tokens')
        .column('secret_id')
        .execute();

      await db.schema
        .createTable('revocations')
        .addColumn('principal', words.name, (column) => column.primaryKey().notNull())
        .addColumn('issued_before', 'bigint', (column) => column.notNull())
        .execute();

      await db.schema
        .createTable('signing_keys')
        .addColumn('kid', words.name, (column) => column.primaryKey().notNull())
        .addColumn('algorithm', 'text', (column) => column.notNull())
        .addColumn('public_key', 'text', (column) => column.notNull())
        .addColumn('private_key', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('signs_from', 'bigint', (column) => column.notNull())
        .execute();

      await db.schema
        .createTable('login_failures')
        .addColumn('key', words.name, (column) => column.primaryKey().notNull())
        .addColumn('failures', 'bigint', (column) => column.notNull())
        .addColumn('last_at', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema.createIndex('login_failures_by_age').on('login_failures').column('last_at').execute();

      await db.schema
        .createTable('auth_versions')
        .addColumn('name', words.name, (column) => column.primaryKey().notNull())
        .addColumn('version', 'bigint', (column) => column.notNull())
        .execute();
      await db
        .insertInto('auth_versions')
        .values([
          { name: 'policies', version: 1 },
          { name: 'keys', version: 1 },
        ])
        .execute();
    },
  };
}
