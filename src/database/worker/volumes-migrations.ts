import type { Migration } from 'kysely';

export const volumeMigrations: Record<string, Migration> = {};
