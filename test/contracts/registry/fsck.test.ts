import { pino } from 'pino';
import { expect, it } from 'vitest';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { NO_METRICS } from '#observability/metrics.ts';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { parseRepositoryName, parseTag } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import type { Finding } from '#registry/fsck/finding.ts';
import { createHousekeeping } from '#registry/housekeeping.ts';
import { createRegistry } from '#registry/registry.ts';
import { onEachDatabase, type TestDatabase } from '../../database/registry-databases.ts';

const name = parseRepositoryName('team/app');
const LAYERS = ['one', 'two'];

/** A registry with one image of two layers. */
async function start({ db }: TestDatabase) {
  const content = new MemoryContentStore();
  const registry = createRegistry({ db, content });
  const logger = pino({ level: 'silent' });
  const keeping = createHousekeeping({ db, content, logger, metrics: NO_METRICS });
  const push = (text: string) =>
    registry.uploads.put(
      name,
      digestOf(text),
      (async function* () {
        yield Buffer.from(text);
      })(),
      SYSTEM,
    );
  for (const text of ['{}', ...LAYERS]) await push(text);
  const describe = (text: string) => ({
    mediaType: MEDIA_TYPE.ociLayer,
    digest: digestOf(text),
    size: text.length,
  });
  const payload = Buffer.from(
    JSON.stringify({ schemaVersion: 2, config: describe('{}'), layers: LAYERS.map(describe) }),
  );
  await registry.manifests.put(
    name,
    { tag: parseTag('v1') },
    { payload, contentType: MEDIA_TYPE.ociManifest, actor: SYSTEM },
  );
  const locationOf = async (text: string) => {
    const row = db.selectFrom('blobs').select('location').where('digest', '=', digestOf(text));
    return (await row.executeTakeFirstOrThrow()).location;
  };
  const check = async (options: { repair?: boolean; deep?: boolean } = {}) => {
    const found: Finding[] = [];
    const all = { repair: false, deep: false, strayAge: -60_000, ...options };
    for await (const finding of keeping.fsck.check(all)) found.push(finding);
    return found;
  };
  const write = async (location: string, text: string) => {
    const writer = await content.writer(location);
    await writer.write(Buffer.from(text));
    await writer.commit();
  };
  return { db, content, registry, keeping, push, locationOf, check, write };
}

onEachDatabase('fsck', (create) => {
  it('finds nothing wrong with what is whole', async () => {
    await using database = await create();
    const { check } = await start(database);
    expect(await check({ deep: true })).toEqual([]);
  });

  it('forgets blobs without content, so that a push brings them back', async () => {
    await using database = await create();
    const { check, content, locationOf, push, registry } = await start(database);
    await content.delete(await locationOf('one'));
    expect(await check()).toMatchObject([
      { kind: 'content-missing', what: digestOf('one'), repaired: false },
    ]);
    expect(await check({ repair: true })).toMatchObject([
      { kind: 'content-missing', repaired: true },
      { kind: 'blob-missing', what: digestOf('one'), repaired: false, remedy: undefined },
    ]);
    await expect(registry.blobs.get(name, digestOf('one'))).rejects.toMatchObject({ kind: 'not-found' });
    await push('one');
    expect(await check({ deep: true })).toEqual([]);
  });

  it('finds content of another size, and, read whole, with other bytes', async () => {
    await using database = await create();
    const { check, content, locationOf, write } = await start(database);
    for (const [text, instead] of [
      ['one', 'longer'],
      ['two', 'tow'],
    ] as const) {
      const location = await locationOf(text);
      await content.delete(location);
      await write(location, instead);
    }
    expect(await check()).toMatchObject([{ kind: 'content-size', what: digestOf('one') }]);
    const kinds = (await check({ deep: true })).map(({ kind }) => kind);
    expect(kinds.sort()).toEqual(['content-digest', 'content-size']);
  });

  it('deletes content that nobody owns', async () => {
    await using database = await create();
    const { check, write } = await start(database);
    await write('uploads/00/stray', 'stray');
    expect(await check()).toMatchObject([{ kind: 'content-stray', what: 'uploads/00/stray' }]);
    expect(await check({ repair: true })).toMatchObject([{ repaired: true }]);
    expect(await check()).toEqual([]);
  });

  it('shows a repository again what its manifests name, and charges for what it sees', async () => {
    await using database = await create();
    const { check, db } = await start(database);
    await db.deleteFrom('repository_blobs').where('digest', '=', digestOf('two')).execute();
    await db.insertInto('namespace_usage').values({ namespace: 'team', bytes: 1000 }).execute();
    const found = await check({ repair: true });
    expect(found).toMatchObject([
      { kind: 'link-missing', what: digestOf('two'), repaired: true },
      { kind: 'usage-wrong', what: 'team', detail: 'charged for 1008 bytes, sees 8', repaired: true },
    ]);
    expect(await check()).toEqual([]);
  });

  it('says what the collector would delete, and deletes that', async () => {
    await using database = await create();
    const { keeping, registry, push } = await start(database);
    await keeping.gcStatus.setDelays({ delay: 3_600_000, jitter: 0 });
    await push('orphan');
    expect(await keeping.gcPlan.plan([])).toEqual({ manifests: [], links: 1, blobs: 1, bytes: 6 });
    const { id } = await keeping.retentionRules.add(
      {
        repositories: '**',
        subject: 'untagged',
        tags: '*',
        keepNewest: 0,
        keepPushedWithin: undefined,
        keepPulledWithin: undefined,
      },
      SYSTEM,
    );
    await registry.manifests.delete(name, { tag: parseTag('v1') }, SYSTEM);
    const rules = await keeping.retentionRules.list();
    expect(rules.map((rule) => rule.id)).toEqual([id]);
    const plan = await keeping.gcPlan.plan(rules);
    expect(plan).toMatchObject({ manifests: [{ repository: name }], links: 4, blobs: 4, bytes: 14 });
    await keeping.gcStatus.makeDue();
    // The manifest's blobs become candidates when it goes.
    await keeping.collector.run({ contentDelay: 0 });
    await keeping.gcStatus.makeDue();
    await keeping.collector.run({ contentDelay: 0 });
    expect(await keeping.gcStatus.totals()).toEqual({ manifests: 1, links: 4, blobs: 4, bytes: 14 });
  });
});
