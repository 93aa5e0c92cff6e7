import type { RegistrySchema } from '#database/registry/schema.ts';
import type { TestRegistry } from './test-registry.ts';

const TABLES = [
  'repositories',
  'blobs',
  'repository_blobs',
  'manifests',
  'manifest_references',
  'tags',
  'referrers',
  'uploads',
  'events',
] as const satisfies readonly (keyof RegistrySchema)[];

/** What a registry has: rows by table, and content written or being written. All zero in one that has nothing. */
export async function stored({ db, content }: TestRegistry): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of TABLES) {
    const { count } = await db
      .selectFrom(table)
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    counts[table] = Number(count);
  }
  counts.content = await length(content.walk());
  counts.ingests = await length(content.ingests());
  return counts;
}

export const NOTHING: Readonly<Record<string, number>> = Object.fromEntries(
  [...TABLES, 'content', 'ingests'].map((name) => [name, 0]),
);

async function length(items: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of items) count++;
  return count;
}
