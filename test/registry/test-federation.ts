import type { FederationOptions } from '#registry/federation.ts';
import type { MirrorOptions } from '#registry/mirror/create-mirror.ts';
import type { ReplicationRule } from '#registry/replication/replication-rule.ts';

export interface TestFederationOptions {
  readonly webhooks?: Partial<FederationOptions['webhooks']>;
  readonly replication?: readonly ReplicationRule[];
  readonly mirrors?: Pick<MirrorOptions, 'rules'> & Partial<MirrorOptions>;
}

/** Quick retries, and webhooks on this machine. */
export function testFederation(options: TestFederationOptions = {}): FederationOptions {
  return {
    source: { origin: 'https://registry.example', instance: 'test' },
    ...(options.mirrors && {
      mirrors: { freshness: 60_000, absence: 60_000, expiry: 60_000, downloads: 8, ...options.mirrors },
    }),
    replication: {
      rules: options.replication ?? [],
      retry: { attempts: 6, firstDelay: 20, maxDelay: 200 },
    },
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
