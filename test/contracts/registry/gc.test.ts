import { pino } from 'pino';
import { expect, it } from 'vitest';
import { OPEN_ACCESS } from '#auth/access.ts';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { NO_METRICS } from '#observability/metrics.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { parseRepositoryName, parseTag } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { ReviewQueuesRepository } from '#registry/gc/review-queues-repository.ts';
import { createHousekeeping, type Housekeeping } from '#registry/housekeeping.ts';
import { createRegistry, type Registry } from '#registry/registry.ts';
import { onEachDatabase, type TestDatabase } from '../../database/registry-databases.ts';

const a = parseRepositoryName('team/a');
const b = parseRepositoryName('team/b');

/** A registry over one database, and its collector without delays. */
class World {
  readonly db: RegistryDatabase;
  readonly content = new MemoryContentStore();
  readonly registry: Registry;
  readonly keeping: Housekeeping;

  static async on(database: TestDatabase, delay = 0): Promise<World> {
    const world = new World(database.db);
    await world.keeping.gcStatus.setDelays({ delay, jitter: 0 });
    return world;
  }

  private constructor(db: RegistryDatabase) {
    this.db = db;
    this.registry = createRegistry({ db, content: this.content });
    const logger = pino({ level: 'silent' });
    this.keeping = createHousekeeping({ db, content: this.content, logger, metrics: NO_METRICS });
  }

  async untagged(rule: { keepNewest?: number; keepPushedWithin?: number }): Promise<void> {
    await this.keeping.retentionRules.add(
      {
        repositories: '**',
        subject: 'untagged',
        tags: '*',
        keepNewest: rule.keepNewest,
        keepPushedWithin: rule.keepPushedWithin,
        keepPulledWithin: undefined,
      },
      SYSTEM,
    );
  }

  /** Nothing untagged is kept. */
  keepNoUntagged(): Promise<void> {
    return this.untagged({ keepNewest: 0 });
  }

  collect() {
    return this.keeping.collector.run({ contentDelay: 0 });
  }

  async push(repository: typeof a, text: string): Promise<Digest> {
    const digest = digestOf(text);
    await this.registry.uploads.put(repository, digest, body(text), SYSTEM);
    return digest;
  }

  async image(
    repository: typeof a,
    tag: string | undefined,
    layers: string[],
    more: Record<string, unknown> = {},
  ): Promise<Digest> {
    for (const text of ['{}', ...layers]) await this.push(repository, text);
    return await this.put(repository, tag, {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      config: descriptor('{}', MEDIA_TYPE.ociConfig),
      layers: layers.map((text) => descriptor(text, MEDIA_TYPE.ociLayer)),
      ...more,
    });
  }

  async index(
    repository: typeof a,
    tag: string | undefined,
    manifests: Digest[],
    more: Record<string, unknown> = {},
  ): Promise<Digest> {
    return await this.put(repository, tag, {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociIndex,
      manifests: manifests.map((digest) => ({ mediaType: MEDIA_TYPE.ociManifest, digest, size: 1 })),
      ...more,
    });
  }

  async put(repository: typeof a, tag: string | undefined, document: object): Promise<Digest> {
    const payload = Buffer.from(JSON.stringify(document));
    const reference = tag === undefined ? { digest: digestOf(payload) } : { tag: parseTag(tag) };
    const { digest } = await this.registry.manifests.put(repository, reference, { payload, actor: SYSTEM });
    return digest;
  }

  untag(repository: typeof a, tag: string): Promise<void> {
    return this.registry.manifests.delete(repository, { tag: parseTag(tag) }, SYSTEM);
  }

  async manifests(repository = a): Promise<string[]> {
    const rows = await this.db
      .selectFrom('manifests')
      .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
      .select('digest')
      .where('repositories.name', '=', repository)
      .execute();
    return rows.map(({ digest }) => digest).sort();
  }

  /** Whether the repository sees a blob, and can read it. */
  async has(repository: typeof a, text: string): Promise<boolean> {
    const blob = await this.registry.blobs.get(repository, digestOf(text)).catch(() => undefined);
    if (!blob) return false;
    let read = '';
    for await (const chunk of await blob.open()) read += Buffer.from(chunk);
    expect(read).toBe(text);
    return true;
  }

  async stored(): Promise<number> {
    let count = 0;
    for await (const _ of this.content.walk()) count++;
    return count;
  }
}

async function* body(text: string) {
  yield Buffer.from(text);
}

function descriptor(text: string, mediaType: string) {
  return { mediaType, digest: digestOf(text), size: text.length };
}

onEachDatabase('garbage collection', (create) => {
  it('keeps what is tagged, whole, and what another repository sees', async () => {
    await using database = await create();
    const world = await World.on(database);
    await world.keepNoUntagged();
    await world.image(a, 'v1', ['shared', 'own']);
    await world.image(b, 'v1', ['shared']);
    await world.collect();
    expect(await world.stored()).toBe(3);
    await world.untag(a, 'v1');
    await world.collect();
    expect(await world.manifests(a)).toEqual([]);
    expect([await world.has(a, 'shared'), await world.has(b, 'shared')]).toEqual([false, true]);
    expect(await world.stored()).toBe(2);
    await world.untag(b, 'v1');
    expect(await world.collect()).toMatchObject({ manifests: 1, blobs: 2, contents: 2 });
    expect(await world.stored()).toBe(0);
  });

  it('keeps untagged manifests without a rule, and their blobs', async () => {
    await using database = await create();
    const world = await World.on(database);
    const digest = await world.image(a, undefined, ['x']);
    await world.collect();
    expect(await world.manifests()).toEqual([digest]);
    expect(await world.has(a, 'x')).toBe(true);
  });

  it('waits for the delay, and takes blobs of no manifest', async () => {
    await using database = await create();
    const world = await World.on(database, 3_600_000);
    await world.push(a, 'orphan');
    await world.collect();
    expect(await world.has(a, 'orphan')).toBe(true);
    await world.keeping.gcStatus.makeDue();
    await world.collect();
    expect(await world.stored()).toBe(0);
  });

  it('keeps the manifests of an index, and lets go of them with it', async () => {
    await using database = await create();
    const world = await World.on(database);
    await world.keepNoUntagged();
    // Held back until the index is there: without a delay a child may go before.
    await world.keeping.gcStatus.setDelays({ delay: 3_600_000, jitter: 0 });
    const child = await world.image(a, undefined, ['x']);
    const index = await world.index(a, 'v1', [child]);
    await world.keeping.gcStatus.setDelays({ delay: 0, jitter: 0 });
    await world.keeping.gcStatus.makeDue();
    await world.collect();
    expect(await world.manifests()).toEqual([child, index].sort());
    await world.untag(a, 'v1');
    await world.collect();
    expect(await world.manifests()).toEqual([]);
    expect(await world.stored()).toBe(0);
  });

  it('keeps the referrers of what is kept, and those of theirs', async () => {
    await using database = await create();
    const world = await World.on(database);
    await world.keepNoUntagged();
    const image = await world.image(a, 'v1', ['x']);
    const subject = (digest: string) => ({
      subject: { mediaType: MEDIA_TYPE.ociManifest, digest, size: 1 },
    });
    const signature = await world.image(a, undefined, ['signature'], subject(image));
    const proof = await world.image(a, undefined, ['proof'], subject(signature));
    await world.collect();
    expect(await world.manifests()).toEqual([image, signature, proof].sort());
    await world.untag(a, 'v1');
    await world.collect();
    expect(await world.manifests()).toEqual([]);
    expect(await world.stored()).toBe(0);
  });

  it('takes manifests that keep each other and nothing else keeps', async () => {
    await using database = await create();
    const world = await World.on(database);
    await world.keepNoUntagged();
    const child = await world.image(a, 'child', ['x']);
    await world.index(a, 'index', [child], {
      subject: { mediaType: MEDIA_TYPE.ociManifest, digest: child, size: 1 },
    });
    await world.untag(a, 'child');
    await world.collect();
    expect(await world.manifests()).toHaveLength(2);
    await world.untag(a, 'index');
    await world.collect();
    expect(await world.manifests()).toEqual([]);
  });

  it('keeps blobs that an index lists, as a build cache does, and pushed foreign layers', async () => {
    await using database = await create();
    const world = await World.on(database);
    await world.push(a, 'cached layer');
    await world.index(a, 'cache', [digestOf('cached layer')]);
    await world.push(a, 'foreign');
    await world.image(a, 'windows', [], {
      layers: [{ ...descriptor('foreign', MEDIA_TYPE.dockerForeignLayerGzip), urls: ['https://x.example'] }],
    });
    await world.collect();
    expect([await world.has(a, 'cached layer'), await world.has(a, 'foreign')]).toEqual([true, true]);
  });

  it('keeps the newest untagged and those pushed of late', async () => {
    await using database = await create();
    const world = await World.on(database);
    await world.untagged({ keepNewest: 2 });
    const digests: Digest[] = [];
    for (const layer of ['1', '2', '3']) {
      digests.push(await world.image(a, undefined, [layer]));
      await world.db
        .updateTable('manifests')
        .set({ created_at: digests.length })
        .where('digest', '=', digests.at(-1)!)
        .execute();
    }
    await world.collect();
    expect(await world.manifests()).toEqual(digests.slice(1).sort());
    await world.untagged({ keepPushedWithin: 60_000 });
    const late = await world.image(a, undefined, ['4']);
    await world.db.deleteFrom('retention_rules').where('keep_newest', 'is not', null).execute();
    await world.keeping.retention.run();
    await world.keeping.gcStatus.makeDue();
    await world.collect();
    expect(await world.manifests()).toEqual([late]);
  });

  it('puts off what a client was told is there', async () => {
    await using database = await create();
    const world = await World.on(database, 3_600_000);
    const digest = await world.push(a, 'x');
    await world.keeping.gcStatus.makeDue();
    await new ReviewQueuesRepository(world.db).touch('gc_link_queue', a, digest);
    await world.collect();
    expect(await world.has(a, 'x')).toBe(true);
  });

  it.each(['push', 'mount'] as const)('puts off what a %s relied on', async (how) => {
    await using database = await create();
    const world = await World.on(database, 3_600_000);
    const digest = await world.push(a, 'x');
    await world.image(b, 'v1', ['x']);
    await world.keeping.gcStatus.makeDue();
    if (how === 'push') await world.push(a, 'x');
    else {
      await world.registry.blobs.mount(a, digest, { from: b, access: OPEN_ACCESS, actor: SYSTEM });
    }
    await world.collect();
    expect(await world.has(a, 'x')).toBe(true);
  });

  it('deletes content again that could not be, and none that a blob is at', async () => {
    await using database = await create();
    const world = await World.on(database);
    await world.push(a, 'x');
    const { delete: remove } = world.content;
    world.content.delete = async () => {
      throw new Error('the disk is away');
    };
    expect(await world.collect()).toMatchObject({ blobs: 1, contents: 0 });
    world.content.delete = remove;
    await world.push(b, 'y');
    await world.image(b, 'v1', ['y']);
    const { location } = await world.db
      .selectFrom('blobs')
      .select('location')
      .where('digest', '=', digestOf('y'))
      .executeTakeFirstOrThrow();
    await world.db.insertInto('gc_locations').values({ location, size: 1, delete_after: 0 }).execute();
    await world.db.updateTable('gc_locations').set({ delete_after: 0 }).execute();
    expect(await world.collect()).toMatchObject({ contents: 1 });
    expect(await world.has(b, 'y')).toBe(true);
    expect(await world.db.selectFrom('gc_locations').select('location').execute()).toEqual([]);
  });

  it('counts what it deleted', async () => {
    await using database = await create();
    const world = await World.on(database);
    await world.push(a, '12345');
    await world.collect();
    expect(await world.keeping.gcStatus.totals()).toEqual({ manifests: 0, links: 1, blobs: 1, bytes: 5 });
    expect((await world.keeping.gcStatus.queues()).every(({ waiting }) => waiting === 0)).toBe(true);
  });
});
