import { type Migration, sql } from 'kysely';

export const imageMigrations: Record<string, Migration> = {
  'images-0001-snapshots': {
    async up(db) {
      await sql`
        create table snapshots (
          id integer primary key,
          key text not null unique,
          kind text not null check (kind in ('active', 'committed')),
          parent_id integer references snapshots (id),
          created_at text not null,
          bytes integer,
          inodes integer
        ) strict`.execute(db);
      await sql`create index snapshots_parent on snapshots (parent_id)`.execute(db);
    },
  },
  'images-0002-images': {
    async up(db) {
      for (const statement of IMAGE_TABLES) await sql.raw(statement).execute(db);
    },
  },
  'images-0003-grafts': {
    async up(db) {
      await sql`alter table snapshots add column directory_id integer`.execute(db);
      await sql`create index snapshots_directory on snapshots (directory_id)
        where directory_id is not null`.execute(db);
    },
  },
  /** What a build cache of its own kept for classic builds; its tables go with build-0006. */
  'images-0004-one-build-cache': {
    async up(db) {
      await sql`delete from layer_users where user like 'build-cache:%'`.execute(db);
      await sql`delete from image_users where user like 'build:%'`.execute(db);
    },
  },
  'images-0005-statements': {
    async up(db) {
      await sql`
        create table image_statements (
          image_id text not null references images (id) on delete cascade,
          position integer not null,
          kind text not null check (kind in ('blob', 'manifest', 'index')),
          digest text not null,
          media_type text not null,
          payload blob not null,
          primary key (image_id, position)
        ) strict`.execute(db);
      await sql`create index image_statements_digest on image_statements (digest)`.execute(db);
    },
  },
  /** Builds of one image state different things of it: each name has what was stated with it. */
  'images-0006-statements-of-names': {
    async up(db) {
      for (const statement of STATEMENTS_OF_NAMES) await sql.raw(statement).execute(db);
    },
  },
  'images-0007-step-images': {
    async up(db) {
      await sql`alter table images add column step_used_at text`.execute(db);
      await sql`create index images_steps on images (step_used_at) where step_used_at is not null`.execute(
        db,
      );
      await sql`create index images_parent on images (parent) where parent is not null`.execute(db);
    },
  },
};

const STATEMENTS_OF_NAMES = [
  `create table statements_by_index (
     index_digest text not null,
     position integer not null,
     image_id text not null references images (id) on delete cascade,
     kind text not null check (kind in ('blob', 'manifest', 'index')),
     digest text not null,
     media_type text not null,
     payload blob not null,
     primary key (index_digest, position)
   ) strict`,
  `insert into statements_by_index
   select named.digest, one.position, one.image_id, one.kind, one.digest, one.media_type, one.payload
   from image_statements one
   join image_statements named on named.image_id = one.image_id and named.kind = 'index'`,
  `drop table image_statements`,
  `alter table statements_by_index rename to image_statements`,
  `create index image_statements_image on image_statements (image_id)`,
  `alter table image_names add column statements_index text`,
  `update image_names set statements_index =
     (select max(index_digest) from image_statements where image_id = image_names.image_id)`,
];

const IMAGE_TABLES = [
  `create table layers (
     chain_id text primary key,
     diff_id text not null,
     bytes integer not null,
     tar_bytes integer not null,
     created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
   ) strict, without rowid`,
  `create index layers_diff on layers (diff_id)`,
  `create table images (
     id text primary key,
     config blob not null,
     parent text,
     created_at text not null
   ) strict, without rowid`,
  `create table image_layers (
     image_id text not null references images (id) on delete cascade,
     position integer not null,
     chain_id text not null references layers (chain_id),
     diff_id text not null,
     primary key (image_id, position)
   ) strict, without rowid`,
  `create index image_layers_chain on image_layers (chain_id)`,
  `create index image_layers_diff on image_layers (diff_id)`,
  `create table image_names (
     name text primary key,
     image_id text not null references images (id),
     tagged_at text not null
   ) strict, without rowid`,
  `create index image_names_image on image_names (image_id)`,
  `create table image_digests (
     repository text not null,
     digest text not null,
     image_id text not null references images (id) on delete cascade,
     primary key (repository, digest)
   ) strict, without rowid`,
  `create index image_digests_image on image_digests (image_id)`,
  `create table image_manifests (
     digest text primary key,
     image_id text not null references images (id) on delete cascade,
     media_type text not null,
     payload blob not null
   ) strict, without rowid`,
  `create index image_manifests_image on image_manifests (image_id)`,
  `create table image_users (
     image_id text not null references images (id),
     user text not null,
     primary key (image_id, user)
   ) strict, without rowid`,
  `create table layer_users (
     chain_id text not null references layers (chain_id),
     user text not null,
     primary key (chain_id, user)
   ) strict, without rowid`,
  `create table layer_blobs (
     digest text primary key,
     diff_id text not null,
     media_type text not null,
     size integer not null,
     location text not null
   ) strict, without rowid`,
  `create index layer_blobs_diff on layer_blobs (diff_id)`,
  `create table blob_origins (
     digest text not null,
     domain text not null,
     repository text not null,
     seen_at text not null,
     primary key (digest, domain, repository)
   ) strict, without rowid`,
];
