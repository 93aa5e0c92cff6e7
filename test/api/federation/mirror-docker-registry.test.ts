import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { DistributionUpstream } from '#cli/registry/upstreams.ts';
import { HttpTransport } from '#distribution/http-transport.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import {
  begin,
  DistributionClient,
  describe as descriptor,
  putManifest,
} from '#test/registry/distribution-client.ts';
import { startPeerRegistry } from '#test/registry/peer-registry.ts';
import { startTestRegistry } from '#test/registry/test-registry.ts';

it('mirrors docker-registry', async () => {
  await using peer = await startPeerRegistry();
  using transport = new HttpTransport({ idleTimeoutMs: 1_000 });
  const url = `http://${peer.address}`;
  const upstream = new DistributionUpstream(
    { transport },
    { url, timeout: 500, maxManifestSize: 4 * 1024 * 1024 },
  );
  const client = new DistributionClient(peer.address);
  const bytes = randomBytes(2_000_000);
  const digest = await pushDebian(client, 'lib/peer', bytes);
  await using through = await startTestRegistry({
    federation: {
      mirrors: { rules: [{ prefix: 'peer', upstreams: [upstream] }], freshness: 0 },
    },
  });
  const config = '{}';
  await pushDebian(client, 'lib/peer', Buffer.from(config));
  const payload = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: descriptor(config, MEDIA_TYPE.ociConfig),
    layers: [descriptor(bytes, MEDIA_TYPE.ociLayer)],
  });
  expect((await putManifest(client, 'lib/peer', 'v1', payload)).status).toBe(201);
  for (let i = 0; i < 2; i++) {
    const manifest = await through.client.send('GET', '/v2/peer/lib/peer/manifests/v1');
    expect(manifest.body.toString()).toBe(payload);
    expect((await through.client.send('GET', `/v2/peer/lib/peer/blobs/${digest}`)).body.equals(bytes)).toBe(
      true,
    );
  }
  expect((await through.client.send('GET', '/v2/peer/lib/peer/manifests/v2')).status).toBe(404);
  expect((await through.client.send('GET', '/v2/peer/lib/none/manifests/v1')).status).toBe(404);
  client.close();
});

/** Its uploads are at absolute URLs, with a query of their own. */
async function pushDebian(
  client: DistributionClient,
  repository: string,
  bytes: Uint8Array,
): Promise<Digest> {
  const { pathname, searchParams } = new URL(await begin(client, repository), `http://${client.address}`);
  searchParams.set('digest', digestOf(bytes));
  const answer = await client.send('PUT', `${pathname}?${searchParams}`, { body: bytes });
  if (answer.status !== 201) throw new Error(`PUT: ${answer.status} ${answer.body}`);
  return digestOf(bytes);
}
