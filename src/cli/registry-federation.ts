import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { createFederation, type Federation } from '#registry/federation.ts';
import type { Registry } from '#registry/registry.ts';

const PRUNE_INTERVAL = 24 * 60 * 60_000;

/**
 * What the registry has to do with others, at work until it is disposed: events go out, and pulls are counted. Any
 * number of processes may do so over one database.
 */
export function startFederation(
  { registry: config }: Pick<Config, 'registry'>,
  ports: { db: RegistryDatabase; registry: Registry; logger: Logger },
): AsyncDisposable & { readonly services: Federation } {
  const { logger } = ports;
  const { attempts, firstDelay, maxDelay, ...webhooks } = config.webhooks;
  const scheme = config.tls.certificate === null ? 'http' : 'https';
  const services = createFederation(ports, {
    source: { origin: config.publicUrl ?? `${scheme}://${config.listen}`, instance: hostname() },
    webhooks: { ...webhooks, retry: { attempts, firstDelay, maxDelay } },
  });
  const stopping = new AbortController();
  const { signal } = stopping;
  const work = [
    services.runner.run(signal),
    services.indexing.run(signal),
    services.statistics.run(config.statistics.interval, signal),
  ];
  const pruning = setInterval(() => {
    services.pulls.prune().catch((error: unknown) => logger.error({ err: error }, 'pruning counts failed'));
  }, PRUNE_INTERVAL);
  return {
    services,
    async [Symbol.asyncDispose]() {
      clearInterval(pruning);
      stopping.abort();
      await Promise.all(work);
    },
  };
}
