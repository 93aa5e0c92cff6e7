import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { ManifestsRepository } from '#registry/manifests/manifests-repository.ts';
import { PullStatistics } from '#registry/statistics/pull-statistics.ts';
import { PullsRepository } from '#registry/statistics/pulls-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const repository = 'some/image' as RepositoryName;
const tag = 'v1' as Tag;
const [part, index] = [digestOf('part'), digestOf('index')];

/** An index with one part, tagged. */
async function seeded(db: RegistryDatabase) {
  const manifests = new ManifestsRepository(db);
  const put = (digest: Digest, parts: Digest[], tags: Tag[]) =>
    manifests.put(
      {
        repository,
        digest,
        payload: Buffer.from('{}'),
        document: { mediaType: 'a/b', blobs: [], manifests: parts, foreignBlobs: [] } as never,
        tags,
      },
      SYSTEM,
    );
  await put(part, [], []);
  await put(index, [part], [tag]);
  const pulls = new PullsRepository(db);
  const statistics = new PullStatistics({ pulls, logger: pino({ level: 'silent' }) });
  const list = async (kind: 'repository' | 'tag' | 'manifest') =>
    Object.fromEntries(
      (await pulls.list(repository, { kind, limit: 10 })).map(({ reference, pulls: count }) => [
        reference,
        count,
      ]),
    );
  const pull = (digest: Digest, more: { tag?: Tag; lookup?: boolean; client?: string } = {}) =>
    statistics.pulled({ repository, digest, tag: undefined, lookup: false, client: 'someone', ...more });
  return { statistics, pulls, list, pull, manifests };
}

onEachDatabase('pull statistics', (create, dialect) => {
  it('counts a pull by tag once, parts of an index for themselves', async () => {
    await using database = await create();
    const { statistics, list, pull } = await seeded(database.db);
    for (let i = 0; i < 3; i++) {
      pull(index, { tag });
      pull(part);
      await statistics.flush();
    }
    expect(await list('tag')).toEqual({ v1: 3 });
    expect(await list('manifest')).toEqual({ [index]: 3, [part]: 3 });
    expect(await list('repository')).toEqual({ '': 3 });
  });

  it('counts a fetch by digest for the tag that its client looked up', async () => {
    await using database = await create();
    const { statistics, list, pull, pulls } = await seeded(database.db);
    pull(index, { tag, lookup: true });
    pull(index, { client: 'someone else' });
    await statistics.flush();
    expect(await list('tag')).toEqual({ v1: 0 });
    expect((await pulls.list(repository, { kind: 'tag', limit: 1 }))[0]!.lastPulledAt).toBeGreaterThan(0);
    pull(index);
    await statistics.flush();
    expect(await list('tag')).toEqual({ v1: 1 });
    expect(await list('manifest')).toEqual({ [index]: 2 });
  });

  it('adds up what several processes counted', async () => {
    await using database = await create();
    const { list } = await seeded(database.db);
    // SQLite has one writer, which two connections of one thread would wait for in vain.
    const other = dialect === 'sqlite' ? database.db : await database.another();
    await Promise.all(
      [database.db, other, database.db, other].map(async (db) => {
        const pulls = new PullsRepository(db);
        const statistics = new PullStatistics({ pulls, logger: pino({ level: 'silent' }) });
        for (let i = 0; i < 10; i++) {
          statistics.pulled({ repository, digest: index, tag, lookup: false, client: `${i}` });
        }
        await statistics.flush();
      }),
    );
    expect([await list('tag'), await list('repository')]).toEqual([{ v1: 40 }, { '': 40 }]);
  });

  it('keeps what could not be written, and passes over what is gone', async () => {
    await using database = await create();
    const { pulls, list } = await seeded(database.db);
    let broken = true;
    const flaky = {
      add: (counts: never) => (broken ? Promise.reject(new Error('no database')) : pulls.add(counts)),
    } as unknown as PullsRepository;
    const statistics = new PullStatistics({ pulls: flaky, logger: pino({ level: 'silent' }) });
    for (const name of [repository, 'gone/away' as RepositoryName]) {
      statistics.pulled({ repository: name, digest: index, tag, lookup: false, client: '' });
    }
    await statistics.flush();
    broken = false;
    await statistics.flush();
    expect(await list('tag')).toEqual({ v1: 1 });
  });

  it('lets go of counts of what was deleted', async () => {
    await using database = await create();
    const { statistics, list, pull, pulls, manifests } = await seeded(database.db);
    pull(index, { tag });
    pull(part);
    await statistics.flush();
    await manifests.delete(repository, index, SYSTEM);
    await pulls.prune();
    expect([await list('tag'), await list('manifest'), await list('repository')]).toEqual([
      {},
      { [part]: 1 },
      { '': 1 },
    ]);
  });
});
