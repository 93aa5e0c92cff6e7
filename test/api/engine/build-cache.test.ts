import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type BuildWorker, type Files, post, startBuildWorker } from './build-worker.ts';

let worker: BuildWorker;

beforeAll(async () => {
  worker = await startBuildWorker();
});
beforeEach(async () => {
  await worker.prune();
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
});

const lines = (...text: string[]) => `${text.join('\n')}\n`;

/** For each step but FROM, whether the cache had it. */
function cached(output: string): boolean[] {
  return output
    .split(/^Step \d+\/\d+ : /m)
    .slice(1)
    .filter((step) => !step.startsWith('FROM'))
    .map((step) => step.includes(' ---> Using cache'));
}

async function build(dockerfile: string[], files: Files = {}, query: Record<string, string> = {}) {
  const answer = await worker.build({ Dockerfile: lines(...dockerfile), ...files }, query);
  return { ...answer, cached: cached(answer.output) };
}

const layerUsers = async () => (await worker.images.store.layerUsers('build-record:')).length;

describe('the build cache', () => {
  it('gives an unchanged build the same image', async () => {
    const dockerfile = ['FROM busybox', 'ENV A=1', 'WORKDIR /w', 'COPY f .', 'RUN date > /d', 'CMD x'];
    const first = await build(dockerfile, { f: '1' });
    const again = await build(dockerfile, { f: '1' });
    expect(first.cached).toEqual([false, false, false, false, false]);
    expect(again.cached).toEqual([true, true, true, true, true]);
    expect(again.id).toBe(first.id);
    const fresh = await build(dockerfile, { f: '1' }, { nocache: '1' });
    expect(fresh.cached).toEqual([false, false, false, false, false]);
    expect(fresh.id).not.toBe(first.id);
    expect((await build(dockerfile, { f: '1' })).id).toBe(fresh.id);
  });

  it('goes by the content of files, not by their times, and by modes', async () => {
    const dockerfile = ['FROM busybox', 'COPY d /d', 'RUN true'];
    await build(dockerfile, { 'd/f': 'same', other: '1' });
    const file = (mtime: number, mode = 0o644) => ({ type: 'file', size: 0, mtime, mode }) as const;
    await build(dockerfile, { 'd/f': file(1) });
    expect((await build(dockerfile, { 'd/f': 'same', other: '2' })).cached).toEqual([true, true]);
    expect((await build(dockerfile, { 'd/f': file(99) })).cached).toEqual([true, true]);
    expect((await build(dockerfile, { 'd/f': file(1, 0o600) })).cached).toEqual([false, false]);
    expect((await build(dockerfile, { 'd/g': 'same' })).cached).toEqual([false, false]);
    expect((await build(dockerfile, { 'd/f': 'changed' })).cached).toEqual([false, false]);
  });

  it('goes by the command, and by the ARGs that reach it', async () => {
    const dockerfile = ['FROM busybox', 'ARG V', 'RUN true'];
    const args = (V: string) => ({ buildargs: JSON.stringify({ V }) });
    await build(dockerfile, {}, args('1'));
    expect((await build(dockerfile, {}, args('1'))).cached).toEqual([true, true]);
    expect((await build(dockerfile, {}, args('2'))).cached).toEqual([true, false]);
    const proxied = { buildargs: JSON.stringify({ V: '1', http_proxy: 'http://elsewhere' }) };
    expect((await build(dockerfile, {}, proxied)).cached).toEqual([true, true]);
    expect((await build(['FROM busybox', 'ARG V', 'RUN  false || true'], {}, args('1'))).cached).toEqual([
      true,
      false,
    ]);
  });

  it('keeps commands whose configuration changed in ways that do not reach them', async () => {
    await build(['FROM busybox', 'LABEL a=1', 'RUN echo x > /x']);
    expect((await build(['FROM busybox', 'LABEL a=2', 'RUN echo x > /x'])).cached).toEqual([false, true]);
    expect((await build(['FROM busybox', 'ENV a=2', 'RUN echo x > /x'])).cached).toEqual([false, false]);
  });

  it('keeps the finished steps of a build that failed', async () => {
    const failed = await build(['FROM busybox', 'RUN echo 1 > /one', 'RUN exit 4']);
    expect(failed.error).toBe("The command '/bin/sh -c exit 4' returned a non-zero code: 4");
    expect((await build(['FROM busybox', 'RUN echo 1 > /one', 'RUN true'])).cached).toEqual([true, false]);
  });

  it('carries on over stages', async () => {
    const dockerfile = (text: string) => [
      ...['FROM busybox AS a', 'COPY f /f', 'RUN cut -c1 /f > /first'],
      ...['FROM busybox', 'COPY --from=a /first /first', `RUN echo ${text}`],
    ];
    await build(dockerfile('1'), { f: 'one' });
    expect((await build(dockerfile('2'), { f: 'one' })).cached).toEqual([true, true, true, false]);
    // Another file, another stage, but the same first letter: what is copied is the same.
    expect((await build(dockerfile('1'), { f: 'other' })).cached).toEqual([false, false, true, true]);
  });

  it('survives the removal of the image, and says what a prune freed', async () => {
    const dockerfile = ['FROM busybox', 'RUN head -c 3000000 /dev/zero > /big', 'RUN echo 1 > /one'];
    await build(dockerfile, {}, { t: 'gone' });
    await worker.images.remover.remove('gone', { force: true });
    expect((await build(dockerfile)).cached).toEqual([true, true]);
    const usage = (await Promise.all(worker.builds.kept.contents.map((part) => part.usage()))).flat();
    expect(usage.map((entry) => [entry.description, entry.inUse])).toEqual(
      expect.arrayContaining([['[2/3] RUN head -c 3000000 /dev/zero > /big', false]]),
    );
  });

  it('is pruned over the API', async () => {
    await build(['FROM busybox', 'RUN head -c 4000000 /dev/zero > /big', 'RUN exit 1']);
    await worker.images.pruner.prune(new Map());
    expect(await layerUsers()).toBe(1);
    const filters = encodeURIComponent('{"type":["regular"]}');
    const url = `http://127.0.0.1:${worker.port}/v1.50/build/prune?all=1&filters=${filters}`;
    const response = await fetch(url, { method: 'POST' });
    const { CachesDeleted, SpaceReclaimed } = (await response.json()) as {
      CachesDeleted: string[];
      SpaceReclaimed: number;
    };
    expect(CachesDeleted).toHaveLength(1);
    expect(SpaceReclaimed).toBeGreaterThanOrEqual(4_000_000);
    expect(await layerUsers()).toBe(0);
    expect((await build(['FROM busybox', 'RUN head -c 4000000 /dev/zero > /big'])).cached).toEqual([false]);
  });

  it('does not lose what a running build stands on to a prune', async () => {
    const building = worker.build({
      Dockerfile: lines('FROM busybox', 'RUN echo 1 > /one', 'RUN sleep 1', 'RUN cat /one', 'COPY f /f'),
      f: '',
    });
    const prunes = setInterval(() => void post(worker.port, '/build/prune', []).catch(() => {}), 50);
    const answer = await building.finally(() => clearInterval(prunes));
    expect(answer.error).toBeUndefined();
    expect(await worker.sh(answer.id!, 'cat /one')).toBe('1\n');
  });

  it('forgets what its layers were lost of', async () => {
    const { id } = await build(['FROM busybox', 'RUN echo 1 > /one']);
    for (const { chainId, user } of await worker.images.store.layerUsers('build-record:')) {
      await worker.images.store.releaseLayer(chainId, user);
    }
    await worker.images.remover.remove(id!, { force: true });
    expect((await build(['FROM busybox', 'RUN echo 1 > /one'])).cached).toEqual([false]);
  });
});

it('is looked up only where a cache image that was asked for is here', async () => {
  const dockerfile = ['FROM busybox', 'RUN true'];
  await build(dockerfile, {}, { t: 'source' });
  expect((await build(dockerfile, {}, { cachefrom: '["source","nope"]' })).cached).toEqual([true]);
  expect((await build(dockerfile, {}, { cachefrom: '["nope"]' })).cached).toEqual([false]);
});
