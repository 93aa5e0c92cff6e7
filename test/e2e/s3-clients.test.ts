import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DistributionClient } from '../registry/distribution-client.ts';
import { writeImageLayout } from '../registry/image-layout.ts';
import { s3Environment } from '../s3/s3-environment.ts';
import { sharedS3 } from '../s3/shared-s3.ts';
import { succeed } from './harness/command.ts';
import { startContainerd } from './harness/containerd.ts';
import { Dockerd } from './harness/dockerd.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** Stock clients push to a Slipway over S3 and pull from it, through the registry and redirected to S3. */
describe.each(['never', 'always'] as const)('redirects: %s', (redirect) => {
  let slipway: Slipway;

  beforeAll(async () => {
    const prefix = `e2e/${randomUUID()}`;
    slipway = await startSlipway({ env: s3Environment(await sharedS3(), { prefix, redirect }) });
    const layout = join(slipway.folder, 'layout');
    writeImageLayout(layout);
    await skopeo(
      'copy',
      '--dest-tls-verify=false',
      `oci:${layout}:latest`,
      `docker://${name('seed/busybox')}`,
    );
  });
  afterAll(() => slipway?.[Symbol.asyncDispose]());

  const name = (repository: string) => `${slipway.registry}/${repository}:latest`;

  function environment(): NodeJS.ProcessEnv {
    const home = join(slipway.folder, 'home');
    mkdirSync(home, { recursive: true });
    return { PATH: process.env.PATH, HOME: home, XDG_RUNTIME_DIR: home, TMPDIR: home };
  }

  const skopeo = (...args: string[]) => succeed('skopeo', args, { env: environment() });

  it('answers GET of a blob as it was told, and keeps nothing on the disk', async () => {
    const client = new DistributionClient(slipway.registry);
    const manifest = JSON.parse(
      (await client.send('GET', '/v2/seed/busybox/manifests/latest')).body.toString(),
    ) as { layers: { digest: string; size: number }[] };
    const [layer] = manifest.layers;
    const answer = await client.send('GET', `/v2/seed/busybox/blobs/${layer!.digest}`);
    expect(answer.status).toBe(redirect === 'always' ? 307 : 200);
    expect((await client.send('HEAD', `/v2/seed/busybox/blobs/${layer!.digest}`)).status).toBe(200);
    client.close();
    expect(existsSync(join(slipway.dataDir, 'registry/blobs'))).toBe(false);
  });

  it('skopeo and containerd', async () => {
    const out = join(slipway.folder, 'out');
    await skopeo('copy', '--src-tls-verify=false', `docker://${name('seed/busybox')}`, `oci:${out}:latest`);
    await using containerd = await startContainerd(join(slipway.folder, 'containerd'), environment());
    const pull = ['images', 'pull', '--plain-http', '--snapshotter', 'native'];
    await containerd.ctr(...pull, name('seed/busybox'));
    await containerd.ctr('images', 'tag', name('seed/busybox'), name('containerd/busybox'));
    await containerd.ctr('images', 'push', '--plain-http', name('containerd/busybox'));
    await containerd.ctr('images', 'remove', '--sync', name('seed/busybox'), name('containerd/busybox'));
    await containerd.ctr(...pull, name('containerd/busybox'));
    expect(await containerd.ctr('images', 'check')).toMatch(/containerd\/busybox:latest .* complete /);
  });

  it('docker with Slipway as its engine, and with its own', async () => {
    const context = join(slipway.folder, 'context');
    mkdirSync(context);
    const random = randomUUID();
    writeFileSync(join(context, 'file'), random.repeat(400_000));
    writeFileSync(join(context, 'Dockerfile'), `FROM ${name('seed/busybox')}\nCOPY file /file\n`);
    const image = name('docker/built');
    await slipway.dockerOk('build', '--quiet', '--tag', image, context);
    await slipway.dockerOk('push', '--quiet', image);
    const first = ['run', '--rm', '--network', 'none', image, '/bin/busybox', 'head', '-c', '36', '/file'];
    await slipway.dockerOk('rmi', '--force', image);
    await slipway.dockerOk('pull', '--quiet', image);
    expect(await slipway.dockerOk(...first)).toBe(random);

    await using dockerd = await Dockerd.start({ network: 'host' });
    await dockerd.dockerOk('pull', '--quiet', image);
    expect(await dockerd.dockerOk(...first)).toBe(random);
    await dockerd.dockerOk('tag', image, name('docker/engine'));
    await dockerd.dockerOk('push', '--quiet', name('docker/engine'));
  });
});
