import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { HttpTransport } from '#distribution/http-transport.ts';
import { Registries } from '#distribution/registries.ts';
import { RegistryHosts } from '#distribution/registry-hosts.ts';
import { parseTenantPolicy, type TenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { RegistryDigests } from '#pool/triggers/registry-digests.ts';
import { TenantRegistries } from '#pool/triggers/tenant-registries.ts';
import { TargetPolicy } from '#webhooks/target-policy.ts';

const MANIFEST = JSON.stringify({ schemaVersion: 2, layers: [] });
const TYPE = 'application/vnd.oci.image.manifest.v1+json';
const digest = expect.stringMatching(/^sha256:[0-9a-f]{64}$/);

/** Something on this machine, and what it was asked. */
async function listen(
  answer: RequestListener = (_req, res) => res.setHeader('Content-Type', TYPE).end(MANIFEST),
) {
  const asked: string[] = [];
  const server = createServer((req, res) => {
    asked.push(req.url!);
    answer(req, res);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    asked,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Looks at an image for a tenant of this policy. */
async function look(image: string, policy: Partial<TenantPolicy> = {}, allowed: string[] = []) {
  using transport = new HttpTransport();
  const hosts = new RegistryHosts();
  const targets = new TargetPolicy({ allowed, setting: 'pool.jobs.tenantWebhookNetworks' });
  const team = { name: 'team', generation: 1, policy: parseTenantPolicy(policy) };
  const access = { identities: async () => new Map([['team', team]]) };
  const digests = new RegistryDigests({
    registries: new Registries({ transport, hosts }),
    ofTenants: new TenantRegistries({ hosts, targets, access }),
    credentials: async () => undefined,
  });
  return await digests.digestOf(image, { tenant: 'team' });
}

it('asks nothing of its own network for a tenant', async () => {
  await using inside = await listen();
  for (const host of ['127.0.0.1', 'localhost', '[::1]', '2130706433']) {
    const asked = look(`${host}:${inside.port}/x:1`);
    await expect(asked, host).rejects.toMatchObject({ kind: 'forbidden' });
  }
  expect(inside.asked).toEqual([]);
});

it('asks what the operator has named, by the policy or by its network', async () => {
  await using inside = await listen();
  const domain = `127.0.0.1:${inside.port}`;
  expect(await look(`${domain}/x:1`, { registries: [domain] })).toEqual(digest);
  expect(await look(`${domain}/x:1`, {}, ['127.0.0.0/8'])).toEqual(digest);
  expect(await look(`localhost:${inside.port}/x:1`, {}, ['127.0.0.0/8'])).toEqual(digest);
  const other = look(`localhost:${inside.port}/x:1`, { registries: [domain] });
  await expect(other).rejects.toMatchObject({ kind: 'forbidden' });
  expect(inside.asked).toHaveLength(3);
});

it('follows neither redirects nor token servers into its own network', async () => {
  await using inside = await listen();
  const there = `http://127.0.0.1:${inside.port}/token`;
  await using redirecting = await listen((_req, res) => res.writeHead(307, { Location: there }).end());
  const challenge = `Bearer realm="${there}",service="x"`;
  await using challenging = await listen((_req, res) =>
    res.writeHead(401, { 'WWW-Authenticate': challenge }).end(),
  );
  for (const { port, asked } of [redirecting, challenging]) {
    const domain = `127.0.0.1:${port}`;
    const given = look(`${domain}/x:1`, { registries: [domain] });
    await expect(given).rejects.toMatchObject({ kind: 'forbidden' });
    expect(asked).toHaveLength(1);
  }
  expect(inside.asked).toEqual([]);
});
