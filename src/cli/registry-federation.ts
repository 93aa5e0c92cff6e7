import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { HttpTransport } from '#distribution/http-transport.ts';
import { createFederation, type Federation, type FederationOptions } from '#registry/federation.ts';
import type { Registry } from '#registry/registry.ts';
import { DistributionUpstream } from './registry-upstreams.ts';

const HOUR = 60 * 60_000;

/**
 * What the registry has to do with others, at work until it is disposed: events go out, and pulls are counted. Any
 * number of processes may do so over one database.
 */
export function startFederation(
  { registry: config }: Pick<Config, 'registry'>,
  ports: { db: RegistryDatabase; registry: Registry; logger: Logger },
): AsyncDisposable & { readonly services: Federation } {
  const { logger } = ports;
  const transport = new HttpTransport({ idleTimeoutMs: config.mirroring.timeout });
  const services = createFederation(ports, optionsOf(config, transport));
  const stopping = new AbortController();
  const { signal } = stopping;
  const work = [
    services.runner.run(signal),
    services.indexing.run(signal),
    services.statistics.run(config.statistics.interval, signal),
  ];
  const tidying = setInterval(() => {
    const expired = services.mirror?.expire(signal) ?? Promise.resolve(0);
    Promise.all([expired, services.pulls.prune()]).then(
      ([deleted]) => deleted > 0 && logger.info({ deleted }, 'deleted mirrored manifests that nobody pulls'),
      (error: unknown) => logger.error({ err: error }, 'tidying up failed'),
    );
  }, HOUR);
  return {
    services,
    async [Symbol.asyncDispose]() {
      clearInterval(tidying);
      stopping.abort();
      services.mirror?.stop();
      await Promise.all(work);
      transport[Symbol.dispose]();
    },
  };
}

function optionsOf(config: Config['registry'], transport: HttpTransport): FederationOptions {
  const { attempts, firstDelay, maxDelay, ...webhooks } = config.webhooks;
  const { mirroring, mirrors, limits } = config;
  const scheme = config.tls.certificate === null ? 'http' : 'https';
  const settings = { timeout: mirroring.timeout, maxManifestSize: limits.manifestSize };
  return {
    source: { origin: config.publicUrl ?? `${scheme}://${config.listen}`, instance: hostname() },
    webhooks: { ...webhooks, retry: { attempts, firstDelay, maxDelay } },
    ...(mirrors.length > 0 && {
      mirrors: {
        ...mirroring,
        rules: mirrors.map((rule) => ({
          ...rule,
          upstreams: rule.upstreams.map(
            (it) => new DistributionUpstream({ transport }, { ...it, ...settings }),
          ),
        })),
      },
    }),
  };
}
