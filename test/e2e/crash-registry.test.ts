import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** kill -9 of the registry while clients push: what was acknowledged is there, a retry succeeds, nothing half-done stays. */

let slipway: Slipway;

beforeAll(async () => {
  slipway = await startSlipway();
  await seedImages(slipway.registry, ['busybox']);
});

afterAll(async () => {
  await slipway?.[Symbol.asyncDispose]();
});

async function killRegistry(): Promise<void> {
  const before = slipway.rolePid('registry');
  process.kill(before, 'SIGKILL');
  await expect.poll(() => slipway.rolePid('registry'), { timeout: 60_000 }).not.toBe(before);
  await slipway.ready();
}

it('during a docker push', async () => {
  // Not built: what was built may have been sent already.
  const name = `${slipway.registry}/crash/push`;
  await slipway.dockerOk('run', '--name=big', 'busybox', 'sh', '-c', 'head -c 80m /dev/urandom >/a');
  await slipway.dockerOk('commit', 'big', name);
  await slipway.dockerOk('rm', 'big');
  const sum = await slipway.dockerOk('run', '--rm', name, 'sha256sum', '/a');

  const push = spawn('docker', ['push', name], { env: slipway.clientEnv, stdio: 'ignore' });
  const ended = new Promise((resolve) => push.once('exit', resolve));
  const ingests = join(slipway.dataDir, 'registry', 'blobs', 'ingest');
  const underway = () =>
    readdirSync(ingests, { recursive: true, withFileTypes: true }).some((entry) => entry.isFile());
  await expect.poll(underway, { timeout: 60_000, interval: 10 }).toBe(true);
  await sleep(50);
  await killRegistry();
  await ended;

  await slipway.dockerOk('push', name);
  await slipway.dockerOk('rmi', '-f', name);
  await slipway.dockerOk('pull', name);
  expect(await slipway.dockerOk('run', '--rm', name, 'sha256sum', '/a')).toBe(sum);
});

it('between pushes: every acknowledged manifest is there', async () => {
  const acknowledged: string[] = [];
  const config = Buffer.from('{}');
  const repository = `http://${slipway.registry}/v2/crash/many`;
  const digest = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';
  await fetch(`${repository}/blobs/uploads/?digest=${digest}`, { method: 'POST', body: config });
  const put = async (tag: string) => {
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', digest, size: config.length },
      layers: [],
      annotations: { tag },
    };
    const response = await fetch(`${repository}/manifests/${tag}`, {
      method: 'PUT',
      headers: { 'content-type': manifest.mediaType },
      body: JSON.stringify(manifest),
    });
    if (response.status === 201) acknowledged.push(tag);
  };
  for (let round = 0; round < 3; round++) {
    let going = true;
    const pushing = (async () => {
      for (let index = 0; going; index++) await put(`r${round}-${index}`).catch(() => sleep(20));
    })();
    await sleep(400);
    await killRegistry();
    going = false;
    await pushing;
  }
  expect(acknowledged.length).toBeGreaterThan(10);
  for (const tag of acknowledged) {
    const response = await fetch(`${repository}/manifests/${tag}`);
    expect(response.status, tag).toBe(200);
    expect(((await response.json()) as { annotations: { tag: string } }).annotations.tag).toBe(tag);
  }
});
