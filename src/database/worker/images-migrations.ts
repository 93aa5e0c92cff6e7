import type { Migration } from 'kysely';

export const imageMigrations: Record<string, Migration> = {};
