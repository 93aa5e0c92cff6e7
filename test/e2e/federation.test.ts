import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Digest } from '#oci/digest.ts';
import { DistributionClient, json, pushImage } from '../registry/distribution-client.ts';
import { writeImageLayout } from '../registry/image-layout.ts';
import { startPeerRegistry } from '../registry/peer-registry.ts';
import { WebhookReceiver } from '../registry/webhook-receiver.ts';
import { succeed } from './harness/command.ts';
import { startContainerd } from './harness/containerd.ts';
import { Dockerd } from './harness/dockerd.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** The registry among others: stock clients pull through it and search it, and a kill -9 loses no event. */

let peer: Awaited<ReturnType<typeof startPeerRegistry>>;
let slipway: Slipway;
let client: DistributionClient;
let pushed: Digest;

beforeAll(async () => {
  peer = await startPeerRegistry();
  slipway = await startSlipway({
    env: {
      SLIPWAY_REGISTRY_WEBHOOKS_ALLOWED_NETWORKS: '127.0.0.1/32',
      SLIPWAY_REGISTRY_WEBHOOKS_FIRST_DELAY: '100ms',
      SLIPWAY_REGISTRY_MIRRORS: `[{ prefix: hub, namespace: docker.io, upstreams: [{ url: "http://${peer.address}" }] }]`,
    },
  });
  client = new DistributionClient(slipway.registry);
  const layout = join(slipway.folder, 'layout');
  pushed = writeImageLayout(layout);
  await skopeo(
    'copy',
    '--dest-tls-verify=false',
    `oci:${layout}:latest`,
    `docker://${peer.address}/library/box:latest`,
  );
});
afterAll(async () => {
  client?.close();
  await slipway?.[Symbol.asyncDispose]();
  await peer?.[Symbol.asyncDispose]();
});

async function skopeo(...args: string[]): Promise<string> {
  const home = join(slipway.folder, 'home');
  mkdirSync(home, { recursive: true });
  const env = { PATH: process.env.PATH, HOME: home, XDG_RUNTIME_DIR: home, TMPDIR: home };
  return await succeed('skopeo', args, { env });
}

async function api(method: string, path: string, body?: object): Promise<unknown> {
  const headers = { 'Content-Type': 'application/json' };
  const options = body && { body: JSON.stringify(body), headers };
  return json(await client.send(method, `/api/v1${path}`, options));
}

it('tells a webhook of everything that was pushed, though the process is killed', async () => {
  await using receiver = await WebhookReceiver.start();
  // Half of the deliveries do not get through at first.
  let count = 0;
  receiver.react = () => (++count % 2 === 0 ? 503 : 204);
  await api('POST', '/webhooks', {
    url: receiver.url,
    repositories: ['killed/**'],
    actions: ['manifest.push'],
  });
  const push = (i: number) =>
    pushImage(client, `killed/image${i % 5}`, `v${i}`, { annotations: { i: `${i}` } });
  for (let i = 0; i < 20; i++) await push(i);
  await receiver.until(3);
  const pushing = Promise.allSettled(Array.from({ length: 10 }, (_, i) => push(20 + i)));
  process.kill(slipway.rolePid('registry'), 'SIGKILL');
  await pushing;
  await expect
    .poll(
      () =>
        client.send('GET', '/v2/').then(
          ({ status }) => status,
          () => 0,
        ),
      { timeout: 60_000 },
    )
    .toBe(200);
  const { items } = (await api('GET', '/audit?action=manifest.push&limit=1000')) as {
    items: { id: number; repository: string }[];
  };
  const expected = items
    .filter(({ repository }) => repository.startsWith('killed/'))
    .map(({ id }) => `${id}`);
  expect(expected.length).toBeGreaterThanOrEqual(20);
  const told = () => new Set(receiver.received.map(({ body }) => JSON.parse(body).id as string));
  await expect.poll(() => expected.filter((id) => !told().has(id)), { timeout: 60_000 }).toEqual([]);
});

it('is searched by the docker command, through a worker as through an engine', async () => {
  const annotations = { 'org.opencontainers.image.description': 'Boats for everyone' };
  await pushImage(client, 'harbour/boats', 'v1', { annotations });
  await pushImage(client, 'harbour/ships', 'v1');
  await expect
    .poll(() => api('GET', '/search?q=boats'), { timeout: 60_000 })
    .toMatchObject({ items: [{ repository: 'harbour/boats', description: 'Boats for everyone' }] });
  await using dockerd = await Dockerd.start({ network: 'host' });
  for (const args of [
    [`${slipway.registry}/harbour`],
    [`${slipway.registry}/boats everyone`],
    ['--limit', '1', `${slipway.registry}/harbour`],
    ['--filter', 'is-official=true', `${slipway.registry}/harbour`],
    ['--no-trunc', '--format', '{{.Name}}|{{.Description}}|{{.StarCount}}', `${slipway.registry}/har`],
    [`${slipway.registry}/nothing`],
    ['--limit', '1000', `${slipway.registry}/harbour`],
  ]) {
    const [ours, theirs] = [
      await slipway.docker(['search', ...args]),
      await dockerd.docker(['search', ...args]),
    ];
    expect([args, ours]).toEqual([args, theirs]);
  }
  expect(await slipway.dockerOk('search', `${slipway.registry}/harbour`)).toContain('harbour/boats');
});

it('is pulled through by skopeo, docker and containerd', async () => {
  const inspected = JSON.parse(
    await skopeo('inspect', '--tls-verify=false', `docker://${slipway.registry}/hub/library/box:latest`),
  );
  expect(inspected.Digest).toBe(pushed);
  const copy = join(slipway.folder, 'copy');
  await skopeo(
    'copy',
    '--src-tls-verify=false',
    `docker://${slipway.registry}/hub/library/box:latest`,
    `dir:${copy}`,
  );
  expect(await slipway.dockerOk('pull', `${slipway.registry}/hub/library/box:latest`)).toContain(pushed);

  // Told of a mirror, containerd asks it for library/box of docker.io.
  const hosts = join(slipway.folder, 'hosts');
  mkdirSync(join(hosts, 'docker.io'), { recursive: true });
  writeFileSync(
    join(hosts, 'docker.io/hosts.toml'),
    `server = "http://127.0.0.1:1"\n[host."http://${slipway.registry}"]\n  capabilities = ["pull", "resolve"]\n`,
  );
  await using containerd = await startContainerd(join(slipway.folder, 'containerd'), {
    PATH: process.env.PATH,
    HOME: slipway.folder,
  });
  const output = await containerd.ctr('images', 'pull', '--hosts-dir', hosts, 'docker.io/library/box:latest');
  expect(output).toContain(pushed);
});
