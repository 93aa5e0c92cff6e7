import type { Migration } from 'kysely';

export const networkMigrations: Record<string, Migration> = {};
