import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Digest } from '#oci/digest.ts';
import { BLOCK_BYTES } from '#worker/images/gzip/parallel-blocks.ts';
import { selectGzip } from '#worker/images/gzip/select-gzip.ts';
import { DistributionClient } from '../registry/distribution-client.ts';
import { busyboxTar, writeImageLayout } from '../registry/image-layout.ts';
import { collect, pieces } from '../unit/tar/tar-bytes.ts';
import { succeed } from './harness/command.ts';
import { startContainerd } from './harness/containerd.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** The clients of Debian push to the registry, and pull from it what they and others pushed. */

let slipway: Slipway;
let client: DistributionClient;
let layout: string;
let layer: Uint8Array;
let pushed: Digest;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'registry' });
  client = new DistributionClient(slipway.registry);
  layout = join(slipway.folder, 'layout');
  const tar = busyboxTar();
  // As layers of builds are: several gzip members, which not every decoder has to know.
  expect(tar.length).toBeGreaterThan(BLOCK_BYTES);
  layer = await collect(selectGzip('libdeflate').compress(pieces(tar, BLOCK_BYTES)));
  pushed = writeImageLayout(layout, layer);
  await skopeo('copy', `oci:${layout}:latest`, reference('seed/busybox'));
});

afterAll(async () => {
  client?.close();
  await slipway?.[Symbol.asyncDispose]();
});

const reference = (name: string, tag = 'latest') => `docker://${slipway.registry}/${name}:${tag}`;

/** Nothing of the host's own containers configuration or state is read or written. */
function environment(): NodeJS.ProcessEnv {
  const home = join(slipway.folder, 'home');
  mkdirSync(home, { recursive: true });
  return { PATH: process.env.PATH, HOME: home, XDG_RUNTIME_DIR: home, TMPDIR: home };
}

async function skopeo(command: string, ...args: string[]): Promise<string> {
  const tls = {
    copy: ['--src-tls-verify=false', '--dest-tls-verify=false'],
    sync: ['--src-tls-verify=false', '--dest-tls-verify=false'],
  }[command] ?? ['--tls-verify=false'];
  return await succeed('skopeo', [command, ...tls, ...args], { env: environment() });
}

async function digestIn(name: string, tag = 'latest'): Promise<unknown> {
  const answer = await client.send('HEAD', `/v2/${name}/manifests/${tag}`);
  return answer.headers['docker-content-digest'];
}

it('skopeo copies in, inspects, lists, copies out and deletes', async () => {
  expect(await digestIn('seed/busybox')).toBe(pushed);
  const inspected = JSON.parse(await skopeo('inspect', reference('seed/busybox')));
  expect(inspected).toMatchObject({ Digest: pushed, RepoTags: ['latest'], Architecture: 'amd64' });

  await skopeo('copy', '--format', 'v2s2', reference('seed/busybox'), reference('skopeo/docker', 'v1'));
  await skopeo('copy', reference('skopeo/docker', 'v1'), reference('skopeo/docker', 'v2'));
  const { Tags } = JSON.parse(await skopeo('list-tags', `docker://${slipway.registry}/skopeo/docker`));
  expect(Tags).toEqual(['v1', 'v2']);

  const out = join(slipway.folder, 'out');
  await skopeo('copy', reference('seed/busybox'), `oci:${out}:latest`);
  const blobs = (folder: string) => readdirSync(join(folder, 'blobs/sha256')).sort();
  expect(blobs(out)).toEqual(blobs(layout));
  for (const blob of blobs(out)) {
    const path = join('blobs/sha256', blob);
    expect(readFileSync(join(out, path)).equals(readFileSync(join(layout, path)))).toBe(true);
  }

  await skopeo('delete', reference('skopeo/docker', 'v1'));
  expect(await digestIn('skopeo/docker', 'v1')).toBeUndefined();
});

it('skopeo copies an index with all of its images', async () => {
  const all = join(slipway.folder, 'all');
  writeImageLayout(all, layer);
  const { manifests } = JSON.parse(readFileSync(join(all, 'index.json'), 'utf8'));
  const platform = { os: 'linux', architecture: 'amd64' };
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    manifests: [{ ...manifests[0], annotations: undefined, platform }],
  });
  await skopeo('copy', reference('seed/busybox'), reference('skopeo/index', 'one'));
  const headers = { 'Content-Type': mediaType };
  const put = await client.send('PUT', '/v2/skopeo/index/manifests/all', { body: index, headers });
  expect(put.status).toBe(201);
  await skopeo('copy', '--all', reference('skopeo/index', 'all'), reference('skopeo/copied', 'all'));
  expect(await digestIn('skopeo/copied', 'all')).toBe(put.headers['docker-content-digest']);
  expect(await digestIn('skopeo/copied', pushed)).toBe(pushed);
});

it.each(['podman', 'buildah'])('%s pulls, tags and pushes', async (program) => {
  const state = join(slipway.folder, program);
  mkdirSync(state);
  const storage = ['--root', join(state, 'root'), '--runroot', join(state, 'run'), '--storage-driver', 'vfs'];
  const apart = program === 'podman' ? ['--tmpdir', join(state, 'tmp'), '--events-backend', 'none'] : [];
  const command = (...args: string[]) =>
    succeed(program, [...storage, ...apart, ...args], { env: environment() });

  const seed = `${slipway.registry}/seed/busybox`;
  const target = `${slipway.registry}/${program}/busybox:mine`;
  await command('pull', '--tls-verify=false', seed);
  await command('tag', seed, target);
  await command('push', '--tls-verify=false', target);
  await command('rmi', '--all', '--force');
  await command('pull', '--tls-verify=false', target);
  const config = JSON.parse(await skopeo('inspect', '--config', reference(`${program}/busybox`, 'mine')));
  expect(config).toMatchObject({ config: { Cmd: ['/bin/busybox', 'true'] } });
  await command('rmi', '--all', '--force');
});

it('containerd pulls and pushes', async () => {
  await using containerd = await startContainerd(join(slipway.folder, 'containerd'), environment());
  const seed = `${slipway.registry}/seed/busybox:latest`;
  const target = `${slipway.registry}/containerd/busybox:mine`;
  await containerd.ctr('images', 'pull', '--plain-http', '--snapshotter', 'native', seed);
  await containerd.ctr('images', 'tag', seed, target);
  await containerd.ctr('images', 'push', '--plain-http', target);
  expect(await digestIn('containerd/busybox', 'mine')).toBe(pushed);
  await containerd.ctr('images', 'remove', '--sync', seed, target);
  await containerd.ctr('images', 'pull', '--plain-http', '--snapshotter', 'native', target);
  expect(await containerd.ctr('images', 'check')).toMatch(/containerd\/busybox:mine .* complete /);
});
