import type { Migration } from 'kysely';

export const containerMigrations: Record<string, Migration> = {};
