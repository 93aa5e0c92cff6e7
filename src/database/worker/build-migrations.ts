import type { Migration } from 'kysely';

export const buildMigrations: Record<string, Migration> = {};
