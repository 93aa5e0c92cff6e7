import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { hostPlatform } from '#oci/platform.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { buildLeftovers } from './harness/build-leftovers.ts';
import { buildKitProgram } from './harness/buildkitd.ts';
import { type CommandResult, run, succeed } from './harness/command.ts';
import { freePorts } from './harness/free-port.ts';
import { Slipway } from './harness/slipway.ts';

/**
 * A worker whose disk is full in the middle of each thing that a build does says so, and has its room again. The
 * registry beside it has its blobs on another disk.
 */

const MIB = 1024 ** 2;
const DISK = 128 * MIB;
const FULL = /no space left (?:on device|for content)/i;

let slipway: Slipway;
let blobs: string;
let free: number;

beforeAll(async () => {
  const [port] = await freePorts(1);
  blobs = mkdtempSync(join(tmpdir(), 'slipway-'));
  chmodSync(blobs, 0o777);
  const env = {
    SLIPWAY_WORKER_BUILD_CACHE_MIN_FREE: '0',
    SLIPWAY_REGISTRY_STORAGE_FILESYSTEM_DIRECTORY: join(blobs, 'blobs'),
  };
  slipway = new Slipway({ buildkit: true, env }, port!);
  mkdirSync(slipway.dataDir);
  await succeed('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=711`, 'tmpfs', slipway.dataDir]);
  await slipway.start();
  await slipway.dockerOk('load', '-i', await busyboxArchive());
  await good();
  free = await freed();
}, 120_000);

afterEach(async () => {
  await expect.poll(() => buildLeftovers(slipway), { timeout: 60_000 }).toEqual([]);
  // What was finished is cache like any other; of what was not, nothing is left.
  await expect.poll(freed, { timeout: 60_000, interval: 500 }).toBeGreaterThan(free - 8 * MIB);
  await good();
});

afterAll(async () => {
  await slipway?.stop();
  await run('umount', ['-l', slipway?.dataDir ?? '']);
  await slipway?.[Symbol.asyncDispose]();
  rmSync(blobs, { recursive: true, force: true });
});

function build(
  name: string,
  lines: string[],
  { large = 0, output = [] as string[] } = {},
): Promise<CommandResult> {
  const context = join(slipway.folder, name);
  mkdirSync(context, { recursive: true });
  writeFileSync(join(context, 'Dockerfile'), lines.join('\n'));
  if (large > 0) {
    writeFileSync(join(context, 'large'), '');
    truncateSync(join(context, 'large'), large);
  }
  const args = ['--addr', slipway.buildkit, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
  args.push('--local', `context=${context}`, '--local', `dockerfile=${context}`, ...output);
  return run(buildKitProgram('buildctl'), args);
}

async function good(): Promise<void> {
  const { code, stderr } = await build('good', ['FROM busybox', 'COPY Dockerfile /', 'RUN cat /Dockerfile']);
  expect(code, stderr).toBe(0);
}

/** Bytes that are free once the cache is empty. */
async function freed(): Promise<number> {
  await succeed(buildKitProgram('buildctl'), ['--addr', slipway.buildkit, 'prune', '--all']);
  const { bavail, bsize } = statfsSync(slipway.dataDir);
  return bavail * bsize;
}

function failed({ code, stderr }: CommandResult): void {
  expect(code, stderr).toBe(1);
  expect(stderr).toMatch(FULL);
  expect(stderr).not.toContain(slipway.dataDir);
}

it('while it gets files from a client', async () => {
  failed(await build('sending', ['FROM scratch', 'COPY large /'], { large: 2 * DISK }));
});

it('while it copies them', async () => {
  failed(await build('copying', ['FROM scratch', 'COPY large /one', 'COPY large /two'], { large: 45 * MIB }));
});

it('while a command runs', async () => {
  const { code, stderr } = await build('running', ['FROM busybox', 'RUN cat /dev/zero > /large']);
  expect(code, stderr).toBe(1);
  expect(stderr).toContain('No space left on device');
});

it('to its last byte when a step is over, which is kept; not the one after it', async () => {
  const fill = '(cat /dev/zero > /large; cat /dev/zero > /small) 2> /dev/null';
  const { code, stderr } = await build('filling', [
    'FROM busybox',
    `RUN ${fill} || echo full`,
    'RUN echo > /b',
  ]);
  expect(code, stderr).toBe(1);
  expect(stderr).toMatch(/^#\d+ [\d.]+ full$/m);
  expect(stderr).toMatch(FULL);
});

it('of what is no build, and cache is removed all the same', async () => {
  const lines = ['FROM busybox', 'RUN head -c 20000000 /dev/urandom > /kept'];
  expect(await build('kept', lines)).toSucceed();
  const other = join(slipway.dataDir, 'other');
  await run('sh', ['-c', `cat /dev/zero > ${other}; cat /dev/zero > ${other}-end`]);
  try {
    failed(await build('refused', ['FROM busybox', 'COPY large /'], { large: MIB }));
    const before = statfsSync(slipway.dataDir).bfree;
    expect(before).toBe(0);
    await expect.poll(freed, { timeout: 60_000 }).toBeGreaterThan(20_000_000);
  } finally {
    for (const file of [other, `${other}-end`]) rmSync(file, { force: true });
  }
});

it('while a layer is compressed for an archive', async () => {
  const output = ['--output', `type=oci,dest=${join(slipway.folder, 'image.tar')}`];
  const step = 'RUN head -c 46000000 /dev/urandom > /large';
  failed(await build('exporting', ['FROM busybox', step], { output }));
});

it('while a layer is compressed for a push', async () => {
  const output = ['--output', `type=image,name=${slipway.registry}/pushed,push=true`];
  const step = 'RUN head -c 46000000 /dev/urandom > /large';
  failed(await build('pushing', ['FROM busybox', step], { output }));
});

it('while an archive is unpacked', async () => {
  const context = join(slipway.folder, 'unpacking');
  mkdirSync(context);
  const zeros = `head -c ${2 * DISK} /dev/zero > ${context}/zeros`;
  await succeed('sh', ['-c', `${zeros} && tar -C ${context} -czf ${context}/bomb.tgz zeros`]);
  failed(await build('unpacking', ['FROM scratch', 'ADD bomb.tgz /']));
});

it('while an image is pulled', async () => {
  const layer = join(slipway.folder, 'layer');
  mkdirSync(layer);
  // It has room as it comes, and none unpacked.
  const files = `head -c 10000000 /dev/urandom > ${layer}/one; head -c ${DISK} /dev/zero > ${layer}/two`;
  await succeed('sh', ['-c', `${files}; tar -C ${layer} -cf ${layer}.tar one two; gzip -1 -k ${layer}.tar`]);
  await put('large', readFileSync(`${layer}.tar`), readFileSync(`${layer}.tar.gz`));
  failed(await build('pulling', [`FROM ${slipway.registry}/large`, 'RUN true']));
});

/** An image of one layer, in the registry. */
async function put(name: string, tar: Buffer, layer: Buffer): Promise<void> {
  const url = `http://${slipway.registry}/v2/${name}`;
  const sent = async (data: Buffer, mediaType: string) => {
    const digest = digestOf(data);
    const { headers } = await fetch(`${url}/blobs/uploads/`, { method: 'POST' });
    const at = new URL(headers.get('location')!, url);
    at.searchParams.set('digest', digest);
    expect((await fetch(at, { method: 'PUT', body: new Uint8Array(data) })).status).toBe(201);
    return { mediaType, digest, size: data.length };
  };
  const rootfs = { type: 'layers', diff_ids: [digestOf(tar)] };
  const config = Buffer.from(
    JSON.stringify({ os: 'linux', architecture: hostPlatform().architecture, rootfs }),
  );
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: await sent(config, MEDIA_TYPE.ociConfig),
    layers: [await sent(layer, MEDIA_TYPE.ociLayerGzip)],
  };
  const headers = { 'content-type': MEDIA_TYPE.ociManifest };
  const body = JSON.stringify(manifest);
  expect((await fetch(`${url}/manifests/latest`, { method: 'PUT', headers, body })).status).toBe(201);
}
