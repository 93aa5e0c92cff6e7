import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { freePorts } from './harness/free-port.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** What docs/monitoring.md promises of a worker's metrics, of the real process. */

let slipway: Slipway;
let url: string;

beforeAll(async () => {
  const [port] = await freePorts(1);
  url = `http://127.0.0.1:${port}`;
  slipway = await startSlipway({ env: { SLIPWAY_WORKER_MONITORING_LISTEN: `127.0.0.1:${port}` } });
  await slipway.dockerOk('load', '--input', await busyboxArchive());
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

const metrics = async () => await (await fetch(`${url}/metrics`)).text();

async function metric(series: string): Promise<number> {
  const line = (await metrics()).split('\n').find((text) => text.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}

it('is alive and ready', async () => {
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const ready = await fetch(`${url}/readyz`);
  expect(ready.status).toBe(200);
  expect(await ready.json()).toEqual({ ready: true, checks: { database: 'ok' } });
  expect((await fetch(`${url}/containers/json`)).status).toBe(404);
});

it('counts containers, images and requests', async () => {
  await slipway.dockerOk('run', '--detach', '--name', 'one', 'busybox', 'sleep', '1000');
  expect(await metric('slipway_containers{state="running"}')).toBe(1);
  expect(await metric('slipway_images')).toBe(1);
  await slipway.dockerOk('rm', '--force', 'one');
  expect(await metric('slipway_containers{state="running"}')).toBe(0);
  const start = 'route="/containers/{name}/start",method="POST",status="2xx"';
  expect(await metric(`slipway_http_request_duration_seconds_count{${start}}`)).toBe(1);
});

it('counts builds and their steps', async () => {
  const context = join(slipway.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nARG FAIL\nRUN test -z "$FAIL"\n');
  await slipway.dockerOk('build', context);
  const steps = (outcome: string) => metric(`slipway_build_steps_total{outcome="${outcome}"}`);
  const done = await steps('done');
  expect(done).toBeGreaterThan(0);
  await slipway.dockerOk('build', context);
  expect(await steps('cached')).toBeGreaterThan(0);
  expect(await steps('failed')).toBe(0);
  const { code } = await slipway.docker(['build', '--build-arg', 'FAIL=1', context]);
  expect(code).not.toBe(0);
  expect(await steps('failed')).toBe(1);
  const builds = (outcome: string) => metric(`slipway_build_duration_seconds_count{outcome="${outcome}"}`);
  expect(await builds('completed')).toBe(2);
  expect(await builds('failed')).toBe(1);
  expect(await metric('slipway_builds_under_way')).toBe(0);
});

it('has every metric that is documented', async () => {
  const [, ofWorker = ''] = readFileSync('docs/monitoring.md', 'utf8').split('## Metrics of a worker');
  const documented = ofWorker.match(/`slipway_\w+`/g) ?? [];
  expect(documented.length).toBeGreaterThan(5);
  const text = await metrics();
  const missing = documented.filter((name) => !text.includes(`# TYPE ${name.slice(1, -1)} `));
  expect(missing).toEqual([]);
});
