import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { Buildkitd, buildKitProgram } from './harness/buildkitd.ts';
import { run } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** A registry with a worker, another worker, and a real BuildKit: they share nothing but what is exported. */
let one: Slipway;
let two: Slipway;
let real: Buildkitd;
let base: string;
let context: string;
let outputs = 0;

beforeAll(async () => {
  const env = { SLIPWAY_WORKER_BUILD_CACHE_REPOSITORY: 'null' };
  one = await startSlipway({ buildkit: true, env });
  two = await startSlipway({ command: 'worker', buildkit: true, env });
  real = await Buildkitd.start();
  base = `${one.registry}/library/busybox`;
  await one.dockerOk('load', '--input', await busyboxArchive());
  await one.dockerOk('tag', 'busybox', base);
  await one.dockerOk('push', base);
});
afterAll(async () => {
  await real?.[Symbol.asyncDispose]();
  await two?.[Symbol.asyncDispose]();
  await one?.[Symbol.asyncDispose]();
});

/** A context whose steps nobody has done before, with what keys are made of. */
function newContext(name: string): void {
  context = join(one.folder, name);
  mkdirSync(join(context, 'dir/sub'), { recursive: true });
  writeFileSync(join(context, 'file'), `contents of ${name}`);
  writeFileSync(join(context, 'dir/a.txt'), 'a', { mode: 0o600 });
  writeFileSync(join(context, 'dir/sub/b.txt'), 'b');
  writeFileSync(
    join(context, 'Dockerfile'),
    `FROM ${base} AS tools
ENV NAME="<${name}&>"
WORKDIR /${name}
COPY file /file
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/tmp cat /file > /made
FROM ${base}
RUN --network=none head -c 1000 /dev/urandom > /random && echo ${name}
COPY --from=tools /made /made
COPY --chown=1:2 --chmod=640 dir /dir/
USER 1000:1000
ADD file dir/a.txt /several/
`,
  );
}

interface Built {
  /** How steps ended, by their names. */
  readonly steps: Record<string, string>;
  readonly stderr: string;
}

async function build(address: string, ...more: string[]): Promise<Built> {
  const args = ['--addr', address, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
  const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
  const { code, stderr } = await run(buildKitProgram('buildctl'), [...args, ...local, ...more]);
  expect({ code, stderr }).toSucceed();
  return { steps: stepsIn(stderr), stderr };
}

/** What a step made that never makes the same again. */
async function random(address: string, ...more: string[]): Promise<string> {
  const dest = join(one.folder, `output-${outputs++}`);
  await build(address, '--output', `type=local,dest=${dest}`, ...more);
  return readFileSync(join(dest, 'random'), 'hex');
}

function stepsIn(progress: string): Record<string, string> {
  const steps: Record<string, string> = {};
  for (const [, n, name] of progress.matchAll(/^#(\d+) (\[.*\] (?:RUN|COPY|ADD|WORKDIR) .*)$/gm)) {
    steps[name!] = progress.includes(`\n#${n} CACHED\n`) ? 'CACHED' : 'DONE';
  }
  return steps;
}

const STEPS = 7;

function expectCached({ steps }: Pick<Built, 'steps'>): void {
  expect(Object.keys(steps)).toHaveLength(STEPS);
  expect(steps).toEqual(Object.fromEntries(Object.keys(steps).map((name) => [name, 'CACHED'])));
}

const builders = {
  'a worker': () => one.buildkit,
  'another worker': () => two.buildkit,
  BuildKit: () => real.address,
} as const;
type Builder = keyof typeof builders;

describe.each<[Builder, Builder]>([
  ['a worker', 'another worker'],
  ['a worker', 'BuildKit'],
  ['BuildKit', 'another worker'],
])('what %s has done, %s finds', (from, to) => {
  const name = `${from}-${to}`.replaceAll(' ', '-').toLowerCase();

  // Without output nobody needs a file: what is found stays where it is.
  it('in a registry', async () => {
    newContext(`registry-${name}`);
    const ref = `${one.registry}/cache/${name}`;
    const before = await random(builders[from](), '--export-cache', `type=registry,ref=${ref},mode=max`);
    const after = await build(builders[to](), '--import-cache', `type=registry,ref=${ref}`);
    expect(after.stderr).toContain(`importing cache manifest from ${ref}`);
    expectCached(after);
    expect(await random(builders[to](), '--import-cache', `type=registry,ref=${ref}`)).toBe(before);
  });

  it('in a directory of the client', async () => {
    newContext(`local-${name}`);
    const directory = join(one.folder, `cache-${name}`);
    const before = await random(builders[from](), '--export-cache', `type=local,dest=${directory},mode=max`);
    expectCached(await build(builders[to](), '--import-cache', `type=local,src=${directory}`));
    expect(await random(builders[to](), '--import-cache', `type=local,src=${directory}`)).toBe(before);
  });

  it('in an image', async () => {
    newContext(`inline-${name}`);
    const ref = `${one.registry}/images/${name}`;
    const push = ['--output', `type=image,name=${ref},push=true`];
    await build(builders[from](), ...push, '--export-cache', 'type=inline');
    // The other stage's records are there, its layers are not: nobody needs them.
    expectCached(await build(builders[to](), '--import-cache', `type=registry,ref=${ref}`));
  });
});

it('is for buildx too, with each of its drivers', async () => {
  newContext('buildx');
  using clients = createClients(`unix://${two.socket}`);
  await clients.buildx(['create', '--name', 'one', '--driver', 'remote', one.buildkit]);
  const ref = `${one.registry}/cache/buildx`;
  const to = ['--cache-to', `type=registry,ref=${ref},mode=max`];
  const common = ['build', '--progress', 'plain', '--output', 'type=cacheonly'];
  const exported = await clients.buildx([...common, '--builder', 'one', ...to, context]);
  expect(exported.stderr).toContain('writing cache image manifest');
  const from = ['--cache-from', `${one.registry}/cache/none`, '--cache-from', ref];
  const imported = await clients.buildx([...common, '--builder', 'default', ...from, context]);
  expect(imported).toSucceed();
  expect(imported.stderr).toContain('ERROR: ');
  expectCached({ steps: stepsIn(imported.stderr) });
});

it('takes nothing that it was not told of', async () => {
  newContext('apart');
  const ref = `${one.registry}/cache/apart`;
  const made = await random(one.buildkit, '--export-cache', `type=registry,ref=${ref},mode=max`);
  expect(await random(two.buildkit, '--import-cache', `type=registry,ref=${ref}`)).toBe(made);
  // It has all of it by now, and did none of it itself.
  expect(await random(two.buildkit)).not.toBe(made);
});

it('refuses what there is none of', async () => {
  const args = ['--addr', one.buildkit, 'build', '--frontend', 'dockerfile.v0'];
  const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
  const { code, stderr } = await run(buildKitProgram('buildctl'), [
    ...args,
    ...local,
    '--export-cache',
    'type=s3',
  ]);
  expect(code).not.toBe(0);
  expect(stderr).toContain('unknown cache exporter: "s3" (there are registry, local and inline)');
});
