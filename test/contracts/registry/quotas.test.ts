import { expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import { BlobsRepository } from '#registry/blobs/blobs-repository.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { QuotasRepository } from '#registry/quotas/quotas-repository.ts';
import { UsageCompactionRepository } from '#registry/quotas/usage-compaction-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const blob = (repository: string, text: string) => ({
  repository: repository as RepositoryName,
  digest: digestOf(text),
  size: text.length,
  location: `uploads/${text}`,
});

onEachDatabase('what a namespace uses', (create, dialect) => {
  it('is the size of its blobs, each once, however its changes are added up', async () => {
    await using database = await create();
    const blobs = new BlobsRepository(database.db);
    const quotas = new QuotasRepository(database.db);
    await quotas.set('team', 1000, SYSTEM);
    const used = async () => (await quotas.list(10)).find(({ namespace }) => namespace === 'team');
    for (let number = 0; number < 20; number++) {
      for (const name of ['team/a', 'team/b']) await blobs.publish(blob(name, `blob-${number % 10}`), SYSTEM);
    }
    await blobs.publish(blob('other/a', 'blob-elsewhere'), SYSTEM);
    expect(await used()).toEqual({ namespace: 'team', used: 60, limit: 1000 });
    await new UsageCompactionRepository(database.db).compact();
    expect(await used()).toMatchObject({ used: 60 });
    expect(await quotas.room('team/c' as RepositoryName)).toBe(940);
  });

  // SQLite has one writer at a time.
  if (dialect === 'sqlite') return;

  it('is added to by pushes that do not wait for each other', async () => {
    await using database = await create();
    await new QuotasRepository(database.db).set('team', 1000, SYSTEM);
    const others = new BlobsRepository(await database.another());
    await others.publish(blob('team/a', 'first'), SYSTEM);
    const { id } = await database.db.selectFrom('repositories').select('id').executeTakeFirstOrThrow();
    // A push that has added to what the namespace uses, and does not come to its end.
    await database.db.transaction().execute(async (trx) => {
      const { repository: _, ...row } = blob('team/a', 'second');
      await trx
        .insertInto('blobs')
        .values({ ...row, created_at: 0 })
        .execute();
      await trx
        .insertInto('repository_blobs')
        .values({ repository_id: id, digest: row.digest, created_at: 0 })
        .execute();
      const charged = await trx.selectFrom('namespace_usage').select('bytes').execute();
      expect(charged.map(({ bytes }) => bytes).toSorted()).toEqual([5, 6]);
      for (const name of ['team/a', 'team/b']) await others.publish(blob(name, `into ${name}`), SYSTEM);
      await new UsageCompactionRepository(await database.another()).compact();
    });
    expect(await new QuotasRepository(database.db).room('team/a' as RepositoryName)).toBe(
      1000 - 5 - 6 - 11 - 11,
    );
  });
});
