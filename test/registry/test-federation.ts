import type { FederationOptions } from '#registry/federation.ts';

export interface TestFederationOptions {
  readonly webhooks?: Partial<FederationOptions['webhooks']>;
}

/** Quick retries, and webhooks on this machine. */
export function testFederation(options: TestFederationOptions = {}): FederationOptions {
  return {
    source: { origin: 'https://registry.example', instance: 'test' },
    webhooks: {
      allowedNetworks: ['127.0.0.1/32'],
      retry: { attempts: 4, firstDelay: 20, maxDelay: 200 },
      timeout: 2_000,
      keep: 60_000,
      ...options.webhooks,
    },
  };
}

/** Runs what a federation does in the background, until it is disposed. */
export function inBackground(work: (signal: AbortSignal) => Promise<void>): AsyncDisposable {
  const stopping = new AbortController();
  const running = work(stopping.signal);
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
    },
  };
}
