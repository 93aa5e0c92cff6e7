import { expect, it } from 'vitest';
import { json, pushImage, putManifest } from '#test/registry/distribution-client.ts';
import { startTestRegistry } from '#test/registry/test-registry.ts';

it('counts what is pulled, and not what is only looked at', async () => {
  await using registry = await startTestRegistry();
  const { client, federation } = registry;
  const { digest, payload } = await pushImage(client, 'pulled/often', 'v1');
  await putManifest(client, 'pulled/often', 'v2', payload);
  const manifest = (method: string, reference: string, headers = {}) =>
    client.send(method, `/v2/pulled/often/manifests/${reference}`, { headers });
  await manifest('GET', 'v1');
  await manifest('GET', 'v1', { 'If-None-Match': `"${digest}"` });
  await manifest('GET', 'none');
  // As Docker pulls v2.
  await manifest('HEAD', 'v2');
  await manifest('GET', digest);
  await federation.statistics.flush();

  const pulls = async (of: string) => {
    const answer = await client.send('GET', `/api/v1/repositories/pulled%2Foften/pulls?of=${of}`);
    const { items } = json(answer) as { items: { reference: string; pulls: number; lastPulledAt: string }[] };
    expect(items.every(({ lastPulledAt }) => Math.abs(Date.parse(lastPulledAt) - Date.now()) < 60_000)).toBe(
      true,
    );
    return items.map(({ reference, pulls: count }) => [reference, count]);
  };
  expect(await pulls('tag')).toEqual([
    ['v1', 1],
    ['v2', 1],
  ]);
  expect(await pulls('manifest')).toEqual([[digest, 2]]);
  expect(await pulls('repository')).toEqual([['', 2]]);
});
