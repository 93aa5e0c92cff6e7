import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json as readJson } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OtelTracer } from '#observability/otel-tracer.ts';
import { pushBlob } from '../../registry/distribution-client.ts';
import { startObservedRegistry } from '../../registry/observed-registry.ts';

interface ExportedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
}

let collector: Server;
const spans: ExportedSpan[] = [];

beforeAll(async () => {
  collector = createServer(async (request, response) => {
    const { resourceSpans } = (await readJson(request)) as {
      resourceSpans: { scopeSpans: { spans: ExportedSpan[] }[] }[];
    };
    for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
    response.end('{}');
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  await new Promise((resolve) => collector.close(resolve));
});

it("goes on with a client's trace, down to storage and database, and hands it on", async () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`;
  const tracer = new OtelTracer({
    endpoint,
    ratio: 0,
    service: 'slipway-registry',
    version: '0',
    onTrouble: (message) => expect.unreachable(message),
  });
  const outgoing = await tracer.request(
    'GET elsewhere',
    { traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
    async () => tracer.headers(),
  );
  expect(outgoing.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
  {
    await using registry = await startObservedRegistry({ tracer });
    const digest = await pushBlob(registry.client, 'traced/blobs', 'content');
    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, 'X-Request-Id': 'traced-1' };
    await registry.client.send('GET', `/v2/traced/blobs/blobs/${digest}`, { headers });
    await expect
      .poll(() => registry.lines.find(({ requestId }) => requestId === 'traced-1'))
      .toMatchObject({ traceId });
  }
  await tracer[Symbol.asyncDispose]();

  // The push before had no trace, and a ratio of 0 begins none.
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
  const request = spans.find(({ name }) => name === 'GET blob');
  expect(request?.parentSpanId).toBe('00f067aa0ba902b7');
  const below = spans.filter(({ parentSpanId }) => parentSpanId === request?.spanId).map(({ name }) => name);
  expect(below).toContain('content open');
  expect(below).toContain('database select');
});
