import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { parseNamespacePattern } from '#auth/policies/pattern.ts';
import type { Config } from '#config/schema.ts';
import { Leases } from '#database/registry/leases.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { HttpTransport } from '#distribution/http-transport.ts';
import type { Metrics } from '#observability/metrics.ts';
import { createFederation, type Federation, type FederationOptions } from '#registry/federation.ts';
import type { Registry } from '#registry/registry.ts';
import { DistributionTarget } from './replication-target.ts';
import { DistributionUpstream, readCredentials } from './upstreams.ts';

const TIDY_INTERVAL = 60 * 60_000;
/** How long the work of a process that died waits for another one, and how often others look, in milliseconds. */
const LEASE = 10_000;
const LOOK_INTERVAL = 1_000;

/**
 * What the registry has to do with others, at work until it is disposed. Pulls are counted in every process; events go
 * out, and pushes become searchable, in one of those on a database.
 */
export function startFederation(
  { registry: config }: Pick<Config, 'registry'>,
  ports: { db: RegistryDatabase; registry: Registry; logger: Logger; metrics: Metrics },
): AsyncDisposable & { readonly services: Federation } {
  const upstreams = new HttpTransport({ idleTimeoutMs: config.mirroring.timeout });
  const targets = new HttpTransport();
  const services = createFederation(ports, optionsOf(config, { upstreams, targets }));
  const stopping = new AbortController();
  const { signal } = stopping;
  const work = [
    alone(ports, signal, (leased) =>
      Promise.all([
        services.runner.run(leased),
        services.indexing.run(leased),
        tidy(services, ports.logger, leased),
      ]),
    ),
    services.statistics.run(config.statistics.interval, signal),
  ];
  return {
    services,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      services.mirror?.stop();
      await Promise.all(work);
      for (const transport of [upstreams, targets]) transport[Symbol.dispose]();
    },
  };
}

/** Works while no other process does. Each step of the work is sound without that: two would be in each other's way. */
async function alone(
  { db, logger }: { db: RegistryDatabase; logger: Logger },
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const leases = new Leases({ db, duration: LEASE });
  while (!signal.aborted) {
    await leases
      .run('federation', (lease) => work(lease.signal), { signal })
      .catch((error: unknown) => {
        if (!signal.aborted) logger.error({ err: error }, 'work with other registries failed');
      });
    await pause(LOOK_INTERVAL, signal);
  }
}

async function tidy({ mirror, pulls }: Federation, logger: Logger, signal: AbortSignal): Promise<void> {
  for (;;) {
    await pause(TIDY_INTERVAL, signal);
    if (signal.aborted) return;
    try {
      const deleted = (await mirror?.expire(signal)) ?? 0;
      if (deleted > 0) logger.info({ deleted }, 'deleted mirrored manifests that nobody pulls');
      await pulls.prune();
    } catch (error) {
      logger.error({ err: error }, 'tidying up failed');
    }
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {});
}

function optionsOf(
  config: Config['registry'],
  transports: { upstreams: HttpTransport; targets: HttpTransport },
): FederationOptions {
  const { attempts, firstDelay, maxDelay, ...webhooks } = config.webhooks;
  const { rules, ...replicationRetry } = config.replication;
  const scheme = config.tls.certificate === null ? 'http' : 'https';
  return {
    source: { origin: config.publicUrl ?? `${scheme}://${config.listen}`, instance: hostname() },
    webhooks: { ...webhooks, retry: { attempts, firstDelay, maxDelay } },
    mirrors: mirrorsOf(config, transports.upstreams),
    replication: {
      retry: replicationRetry,
      rules: rules.map(({ credentials, prefix = '', deletes = false, ...rule }) => ({
        ...rule,
        prefix,
        deletes,
        repositories: rule.repositories.map(parseNamespacePattern),
        target: new DistributionTarget(
          { transport: transports.targets },
          { origin: new URL(rule.url), credentials: readCredentials(credentials), deletes },
        ),
      })),
    },
  };
}

function mirrorsOf(
  { mirroring, mirrors, limits }: Config['registry'],
  transport: HttpTransport,
): FederationOptions['mirrors'] {
  if (mirrors.length === 0) return undefined;
  const settings = { timeout: mirroring.timeout, maxManifestSize: limits.manifestSize };
  return {
    ...mirroring,
    rules: mirrors.map((rule) => ({
      ...rule,
      upstreams: rule.upstreams.map((it) => new DistributionUpstream({ transport }, { ...it, ...settings })),
    })),
  };
}
