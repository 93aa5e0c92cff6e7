import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Digest } from '#oci/digest.ts';
import { CacheKeeper, type CacheLimits } from '#worker/build/cache/cache-keeper.ts';
import { StepImageCache } from '#worker/build/classic/step-image-cache.ts';
import { type BuildWorker, startBuildWorker } from './build-worker.ts';

const KIB = 1024;
const NO_LIMITS: CacheLimits = { reservedBytes: 0, maxUsedBytes: 0, minFreeBytes: 0, maxUnusedMs: 0 };

let worker: BuildWorker;
let parts: StepImageCache;
beforeAll(async () => {
  worker = await startBuildWorker();
  const { rows, remover } = worker.images;
  parts = new StepImageCache({ steps: rows.steps, remover });
});
beforeEach(async () => {
  await worker.prune();
  await trim({ maxUnusedMs: 1 });
});
afterAll(() => worker?.[Symbol.asyncDispose]());

async function trim(limits: Partial<CacheLimits>): Promise<void> {
  const ports = {
    parts: [parts],
    freeBytes: async () => 0,
    collect: async () => void (await worker.images.layers.prune()),
    report: (error: unknown) => {
      throw error;
    },
  };
  await using keeper = new CacheKeeper(ports, { ...NO_LIMITS, ...limits });
  await keeper.trim();
}

const steps = async () => (await parts.usage()).sort((a, b) => b.bytes - a.bytes);
const images = async () => (await worker.images.rows.images.all()).map(({ id }) => id);
const layers = async () => (await worker.images.rows.layers.all()).length;

/** A build whose first stage is not in what comes of it. */
async function build(text: string, query: Record<string, string>): Promise<Digest> {
  const Dockerfile = `FROM busybox AS first
COPY ${text} /${text}
LABEL of=${text}
ENV A=1
FROM busybox
LABEL result=${text}
COPY --from=first /${text} /copied
`;
  const { error, id } = await worker.build({ Dockerfile, [text]: text.repeat(64 * KIB) }, query);
  expect(error).toBeUndefined();
  return id as Digest;
}

it('go with the cache when that has no room, and those that are asked for stay', async () => {
  const before = { images: await images(), layers: await layers() };
  const named = await build('a', { t: 'named' });
  const nameless = await build('b', {});
  const kept = await steps();
  // Each step of the first stages, and the first of what the images were built on.
  expect(kept.map(({ inUse }) => inUse).sort()).toEqual([...Array(6).fill(false), true, true]);
  await worker.prune();
  const bytes = (await steps()).map((one) => one.bytes);
  expect(bytes).toEqual([64 * KIB, 64 * KIB, 0, 0, 0, 0, 0, 0]);
  await trim({ maxUsedBytes: 100 * KIB });
  const left = await steps();
  expect(left.reduce((sum, one) => sum + one.bytes, 0)).toBe(64 * KIB);
  await trim({ maxUsedBytes: 1 });
  expect((await steps()).map(({ inUse }) => inUse)).toEqual([true, true]);
  expect(await images()).toEqual(expect.arrayContaining([...before.images, named, nameless]));
  expect(await images()).toHaveLength(before.images.length + 4);
  expect(await layers()).toBe(before.layers + 2);
  for (const image of [named, nameless]) await worker.images.remover.remove(image, { force: true });
  // They have no layers of their own, so no room is won.
  await trim({ maxUnusedMs: 1 });
  expect(await images()).toEqual(before.images);
});

it('go when no build came by them for long, and not while they are used or named', async () => {
  await build('a', { t: 'named' });
  const top = (await worker.images.rows.steps.all()).filter(({ inUse }) => !inUse);
  expect(top).toHaveLength(3);
  const { store } = worker.images;
  const parentOf = new Map(top.map(({ id, parent }) => [id, parent]));
  const leaf = top.find(({ id }) => ![...parentOf.values()].includes(id))!;
  await store.retain(leaf.id, 'container:x');
  await trim({ maxUnusedMs: 60_000 });
  expect(await images()).toEqual(expect.arrayContaining(top.map(({ id }) => id)));
  await trim({ maxUnusedMs: 1 });
  expect(await images()).toEqual(expect.arrayContaining(top.map(({ id }) => id)));
  await store.release(leaf.id, 'container:x');
  await store.tag(leaf.parent!, 'step');
  await trim({ maxUnusedMs: 1 });
  const left = await images();
  expect(top.map(({ id }) => left.includes(id)).filter(Boolean)).toHaveLength(2);
  expect(left).not.toContain(leaf.id);
  for (const name of ['named', 'step']) await worker.images.remover.remove(name, { force: true });
});

it('are images when a build comes to them', async () => {
  const first = 'FROM busybox AS first\nCOPY file /\n';
  const whole = `${first}FROM busybox\nCOPY --from=first /file /\n`;
  const comesTo = async (Dockerfile: string) => (await worker.build({ Dockerfile, file: 'c' })).id;
  const last = await comesTo(whole);
  const left = await worker.images.rows.steps.all();
  expect(left).toHaveLength(1);
  expect(await comesTo(first)).toBe(left[0]!.id);
  expect(await comesTo(whole)).toBe(last);
  expect(await worker.images.rows.steps.all()).toEqual([]);
  await trim({ maxUnusedMs: 1 });
  expect(await images()).toEqual(expect.arrayContaining([left[0]!.id, last]));
});
