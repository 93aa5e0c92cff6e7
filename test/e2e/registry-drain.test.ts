import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { begin, DistributionClient } from '../registry/distribution-client.ts';
import { startSlipway } from './harness/slipway.ts';

it('says that it is about to stop, serves on, ends what is under way and then stops', async () => {
  await using slipway = await startSlipway({
    command: 'registry',
    env: { SLIPWAY_REGISTRY_DRAIN_DELAY: '1s', SLIPWAY_STOP_TIMEOUT: '20s' },
  });
  const client = new DistributionClient(slipway.registry);
  const status = async (path: string) => (await client.send('GET', path)).status;
  expect(await status('/readyz')).toBe(200);

  const bytes = Buffer.alloc(4 << 20, 'drained');
  const location = await begin(client, 'drain/blobs');
  const half = Promise.withResolvers<void>();
  async function* body() {
    yield bytes.subarray(0, 1 << 20);
    await half.promise;
    yield bytes.subarray(1 << 20);
  }
  const push = client.send('PUT', `${location}?digest=${digestOf(bytes)}`, {
    body: body(),
    headers: { 'Content-Length': String(bytes.length) },
  });

  const stopped = slipway.stop();
  await expect.poll(() => status('/readyz')).toBe(503);
  expect(await status('/v2/')).toBe(200);
  const [host, port] = slipway.registry.split(':');
  const refused = async () => {
    const socket = connect({ host, port: Number(port) });
    const outcome = await Promise.race([
      once(socket, 'connect').then(() => false),
      once(socket, 'error').then(() => true),
    ]).catch(() => true);
    socket.destroy();
    return outcome;
  };
  await expect.poll(refused, { timeout: 60_000 }).toBe(true);
  half.resolve();
  expect((await push).status).toBe(201);
  client.close();
  expect(await stopped).toBe(0);
});
