import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { begin, DistributionClient, pushBlob, pushImage } from '../registry/distribution-client.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** What docs/monitoring.md promises of a registry's metrics, of the real process. */

let slipway: Slipway;
let client: DistributionClient;

beforeAll(async () => {
  slipway = await startSlipway({
    command: 'registry',
    env: {
      SLIPWAY_REGISTRY_GC_DELAY: '0s',
      SLIPWAY_REGISTRY_GC_INTERVAL: '1s',
      SLIPWAY_REGISTRY_GC_CONTENT_DELAY: '0s',
      SLIPWAY_REGISTRY_MIRRORS: '[{ prefix: hub, upstreams: [{ url: "http://127.0.0.1:9" }] }]',
    },
  });
  client = new DistributionClient(slipway.registry);
});
afterAll(async () => {
  client?.close();
  await slipway?.[Symbol.asyncDispose]();
});

const metrics = async () => (await client.send('GET', '/metrics')).body.toString();

/** The value of a series by its line up to the value; 0 while there is none. */
async function metric(series: string): Promise<number> {
  const line = (await metrics()).split('\n').find((text) => text.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}

it('has every metric that is documented', async () => {
  const [ofRegistry = ''] = readFileSync('docs/monitoring.md', 'utf8').split('## Metrics of a worker');
  const documented = ofRegistry.match(/`slipway_\w+`/g) ?? [];
  const names = [...new Set(documented.map((text) => text.slice(1, -1)))];
  expect(names.length).toBeGreaterThan(10);
  // That one is of a registry with TLS (test/e2e/registry-secured.test.ts).
  const served = names.filter((name) => name !== 'slipway_tls_certificate_expiry_seconds');
  const text = await metrics();
  expect(served.filter((name) => !text.includes(`# TYPE ${name} `))).toEqual([]);
  expect(text).toMatch(/^process_resident_memory_bytes \d+/m);
  expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
});

it('counts uploads under way', async () => {
  const location = await begin(client, 'metrics/uploads');
  expect(await metric('slipway_uploads_under_way')).toBe(1);
  await client.send('DELETE', location);
  expect(await metric('slipway_uploads_under_way')).toBe(0);
});

it('tells what waits for the collector, and what it deleted', async () => {
  const { digest } = await pushImage(client, 'metrics/images', 'v1');
  await client.send('DELETE', `/v2/metrics/images/manifests/${digest}`);
  await pushBlob(client, 'metrics/images', 'of no image');
  for (const kind of ['link', 'blob', 'content'])
    await expect
      .poll(() => metric(`slipway_gc_collected_total{kind="${kind}"}`), { timeout: 60_000 })
      .toBeGreaterThanOrEqual(3);
  const due = (queue: string) => metric(`slipway_gc_queue_length{queue="${queue}",state="due"}`);
  for (const queue of ['manifests', 'links', 'blobs', 'contents'])
    await expect.poll(() => due(queue), { timeout: 60_000 }).toBe(0);
});

it('counts what a mirror was asked, and how long storage took', async () => {
  const answer = await client.send('GET', `/v2/hub/library/x/blobs/sha256:${'0'.repeat(64)}`);
  expect(answer.status).toBe(503);
  expect(await metric('slipway_mirror_requests_total{kind="blob",result="miss"}')).toBe(1);
  const commits = 'slipway_content_operation_duration_seconds_count{operation="commit",outcome="done"}';
  expect(await metric(commits)).toBeGreaterThan(0);
});
