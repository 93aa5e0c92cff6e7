import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { buildKitProgram } from './harness/buildkitd.ts';
import { run } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** A worker beside its registry, and another one that has that registry's cache. */
let one: Slipway;
let two: Slipway;
let base: string;
let context: string;

beforeAll(async () => {
  one = await startSlipway({ buildkit: true });
  const env = { SLIPWAY_WORKER_BUILD_CACHE_REPOSITORY: `${one.registry}/slipway/build-cache` };
  two = await startSlipway({ command: 'worker', buildkit: true, env });
  base = `${one.registry}/library/busybox`;
  await one.dockerOk('load', '--input', await busyboxArchive());
  await one.dockerOk('tag', 'busybox', base);
  await one.dockerOk('push', base);
  context = join(one.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'file'), 'contents');
  const steps = ['RUN head -c 3000000 /dev/urandom > /big', 'COPY file /file', 'RUN cat /file > /last'];
  const stages = [`FROM ${base} AS tools`, ...steps, `FROM ${base}`, 'COPY --from=tools /last /last'];
  writeFileSync(join(context, 'Dockerfile'), stages.join('\n'));
});
afterAll(async () => {
  await two?.[Symbol.asyncDispose]();
  await one?.[Symbol.asyncDispose]();
});

/** Answers how steps ended, by their names. */
async function build(worker: Slipway, ...more: string[]): Promise<Record<string, string>> {
  const args = ['--addr', worker.buildkit, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
  const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
  const { code, stderr } = await run(buildKitProgram('buildctl'), [...args, ...local, ...more]);
  expect({ code, stderr }).toSucceed();
  const names = new Map(
    [...stderr.matchAll(/^#(\d+) (\[.*\] (?:RUN|COPY) .*)$/gm)].map(([, n, name]) => [n, name]),
  );
  const ended = [...stderr.matchAll(/^#(\d+) (CACHED|DONE)/gm)].filter(([, n]) => names.has(n));
  return Object.fromEntries(ended.map(([, n, how]) => [names.get(n), how]));
}

it('does on a second worker no step that the first has done', async () => {
  expect(new Set(Object.values(await build(one)))).toEqual(new Set(['DONE']));
  const tags = async () => {
    const answer = await fetch(`http://${one.registry}/v2/slipway/build-cache/tags/list`);
    return ((await answer.json()) as { tags?: string[] }).tags?.length ?? 0;
  };
  // Two for each of four steps.
  await expect.poll(tags, { timeout: 20_000 }).toBe(8);
  const name = `${one.registry}/team/app:1`;
  const steps = await build(two, '--output', `type=image,name=${name},push=true,store=false`);
  expect(Object.keys(steps)).toHaveLength(4);
  expect(new Set(Object.values(steps))).toEqual(new Set(['CACHED']));
  expect(await one.dockerOk('run', '--rm', name, 'cat', '/last')).toBe('contents');
});

it('brings what a step has made to the registry while the next one goes on', {
  timeout: 120_000,
}, async () => {
  const folder = join(one.folder, 'long');
  mkdirSync(folder);
  const steps = ['RUN head -c 12000000 /dev/urandom > /big', 'RUN sleep 100000'];
  writeFileSync(join(folder, 'Dockerfile'), [`FROM ${base}`, ...steps].join('\n'));
  const stop = new AbortController();
  const args = ['--addr', one.buildkit, 'build', '--frontend', 'dockerfile.v0'];
  args.push('--local', `context=${folder}`, '--local', `dockerfile=${folder}`);
  let ended = false;
  const building = run(buildKitProgram('buildctl'), args, { signal: stop.signal })
    .catch(() => undefined)
    .finally(() => {
      ended = true;
    });
  try {
    await expect.poll(() => ended || hasLayerOf(12_000_000), { timeout: 90_000 }).toBe(true);
    expect(ended).toBe(false);
  } finally {
    stop.abort();
    await building;
  }
});

/** Whether what the worker has compressed of a layer with so many bytes of noise is in its registry. */
async function hasLayerOf(bytes: number): Promise<boolean> {
  const folder = join(one.dataDir, 'worker/content/content/compressed');
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  for (const blob of files.filter((file) => statSync(file).size > bytes).map((file) => readFileSync(file))) {
    const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`;
    const url = `http://${one.registry}/v2/slipway/build-cache/blobs/${digest}`;
    if ((await fetch(url, { method: 'HEAD' })).ok) return true;
  }
  return false;
}
