import { expect, it } from 'vitest';
import type { GrpcClient } from '#worker/buildkit/grpc/grpc-client.ts';
import { Metadata } from '#worker/buildkit/grpc/metadata.ts';
import { monitorHealth, ownPatience } from '#worker/buildkit/session/health-monitor.ts';

/** One that takes questions and never answers. */
class SilentClient implements Pick<GrpcClient, 'unary' | 'closed' | 'close'> {
  readonly #closing = new AbortController();
  readonly closed = this.#closing.signal;

  unary: GrpcClient['unary'] = (_method, _request, { signal } = {}) =>
    new Promise((_, reject) =>
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
    );

  close(): void {
    this.#closing.abort();
  }
}

it('gives a client up that answers nothing when it said that it is to be', async () => {
  const client = new SilentClient();
  await monitorHealth(client as unknown as GrpcClient, 20);
  expect(client.closed.aborted).toBe(true);
});

it('reads when a client wants to be given up', () => {
  const said = (text: string) =>
    ownPatience(new Metadata().add('x-buildkit-session-health-custom-timeout', text));
  expect(said('2000')).toBe(2000);
  expect(said('1')).toBe(1000);
  expect(said('soon')).toBeUndefined();
  expect(ownPatience(new Metadata())).toBeUndefined();
});
