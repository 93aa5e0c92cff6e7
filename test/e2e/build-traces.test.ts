import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** Traces of stock buildx, which sends its own to whoever builds, and names them with all that it asks for. */

interface ExportedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly status?: { readonly code?: number };
  readonly attributes: readonly { readonly key: string; readonly value: unknown }[];
}

let slipway: Slipway;
let clients: Clients;
let collector: Server;
let context: string;
/** Ours come as JSON, clients' as they have sent them. */
const spans: ExportedSpan[] = [];
const passed: Buffer[] = [];

beforeAll(async () => {
  collector = createServer(async (request, response) => {
    const body = await buffer(request);
    if (request.headers['content-type'] === 'application/json') spans.push(...spansOf(body));
    else passed.push(body);
    response.end('{}');
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as AddressInfo;
  slipway = await startSlipway({
    command: 'worker',
    env: { SLIPWAY_TRACING_ENDPOINT: `http://127.0.0.1:${port}/v1/traces`, SLIPWAY_TRACING_RATIO: '0' },
  });
  clients = createClients(`unix://${slipway.socket}`);
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  context = join(slipway.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nARG FAIL\nRUN test -z "$FAIL"\n');
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await slipway?.[Symbol.asyncDispose]();
  await new Promise((resolve) => collector.close(resolve));
});

function spansOf(body: Buffer): ExportedSpan[] {
  const { resourceSpans } = JSON.parse(body.toString()) as {
    resourceSpans: { scopeSpans: { spans: ExportedSpan[] }[] }[];
  };
  return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
}

it('has the steps of a build in its client’s trace, and passes the client’s part on', async () => {
  expect(await clients.buildx(['build', context])).toSucceed();
  const named = (name: RegExp) => spans.filter((span) => name.test(span.name));
  const step = /^\[2\/2\] RUN test/;
  await expect.poll(() => named(step).length).toBe(1);
  const [run] = named(step);
  // A span is told when it is over.
  const solving = () => spans.find(({ spanId }) => spanId === run!.parentSpanId);
  await expect.poll(() => solving()?.name).toBe('moby.buildkit.v1.Control/Solve');
  const solve = solving();
  const { traceId } = run!;
  expect(solve!.parentSpanId).toMatch(/^[0-9a-f]{16}$/);
  const ours = spans.filter((span) => span.traceId === traceId).map(({ name }) => name);
  expect(ours).toEqual(
    expect.arrayContaining([
      '[internal] load build definition from Dockerfile',
      'exporting to image',
      'moby.buildkit.v1.frontend.LLBBridge/Solve',
    ]),
  );
  // What the client did itself: the same trace, under the name of its service.
  const theirs = () => passed.filter((body) => body.includes(Buffer.from(traceId, 'hex')));
  await expect.poll(() => theirs().length).toBeGreaterThan(0);
  expect(Buffer.concat(theirs()).includes('service.name')).toBe(true);
  expect(Buffer.concat(theirs()).includes(Buffer.from(solve!.parentSpanId!, 'hex'))).toBe(true);
});

it('says which step has failed', async () => {
  const { code } = await clients.buildx(['build', '--build-arg', 'FAIL=1', context]);
  expect(code).toBe(1);
  const errors = () =>
    spans.flatMap(({ name, attributes }) =>
      attributes.filter(({ key }) => key === 'error').map(({ value }) => ({ name, value })),
    );
  await expect.poll(errors).toContainEqual({
    name: '[2/2] RUN test -z "1"',
    value: { stringValue: expect.stringContaining('exit code: 1') },
  });
});

it('begins no trace by itself where none is wanted', async () => {
  await slipway.dockerOk('build', context);
  const before = spans.length;
  expect(await clients.buildx(['build', context])).toSucceed();
  await expect.poll(() => spans.length).toBeGreaterThan(before);
  expect(spans.filter(({ name }) => name === 'POST build')).toEqual([]);
});
