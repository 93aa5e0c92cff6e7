import { followChanges } from '#auth/follow-changes.ts';
import { OpenAuthenticator } from '#auth/open-authenticator.ts';
import type { Config } from '#config/schema.ts';
import { ObservedContentStore } from '#content/observed-content-store.ts';
import { watchChanges } from '#database/registry/changes.ts';
import { Leases } from '#database/registry/leases.ts';
import { isKind } from '#errors/errors.ts';
import { Operations } from '#observability/operations.ts';
import { createHousekeeping } from '#registry/housekeeping.ts';
import { BlobRedirects } from '#registry/http/blob-redirects.ts';
import { createRegistryApp } from '#registry/http/registry-app.ts';
import { closeServer, createRegistryServer } from '#registry/http/registry-server.ts';
import { TrustedProxies } from '#registry/http/trusted-proxies.ts';
import { createRegistry } from '#registry/registry.ts';
import { listen } from '../process/listen.ts';
import { listenForMonitoring, monitoringOf } from '../process/monitoring.ts';
import { createObservability } from '../process/observability.ts';
import type { RoleContext, RunningRole } from '../process/role.ts';
import { drain, requestGrace } from '../process/shutdown.ts';
import { openDenialLog } from './audit.ts';
import { browserLogins, openAuth, startAuth } from './auth.ts';
import { startBackground } from './background.ts';
import { startFederation } from './federation.ts';
import { requestLimits } from './limits.ts';
import { registryGauges, registryHealth } from './monitoring.ts';
import { openRegistryStorage } from './storage.ts';
import { admittedPeers, openCertificates } from './tls.ts';

/** The composition root of the registry: its storage, its services, what it does in the background, its APIs. */
export async function startRegistry(config: Config, role: RoleContext): Promise<RunningRole> {
  await using started = new AsyncDisposableStack();
  const { logger } = role;
  const { limits, monitoring } = config.registry;
  const observability = started.use(await createObservability('registry', config, logger));
  const storage = started.use(await openRegistryStorage(config, observability));
  // Starts without a store that does not answer, as it goes on without one that ceases to; not with one that refuses.
  await storage.checkContent().catch((error) => {
    if (!isKind(error, 'unavailable')) throw error;
    logger.warn({ err: error }, 'the content store cannot be reached: there are no blobs until it can');
  });
  const content = new ObservedContentStore(storage.content, new Operations('content', observability));
  const { auth: authConfig } = config.registry;
  const accounts = openAuth(storage.db, authConfig);
  const auth = authConfig.mode === 'token' ? accounts : undefined;
  const changes = started.use(await watchChanges(storage.db, storage.database));
  started.use(followChanges(accounts, changes));
  if (auth) await startAuth(auth, authConfig, logger);
  const registry = createRegistry({ db: storage.db, content }, config.registry.api);
  // This process alone has a file: what the one before it was at, nobody is at any more.
  const alone = storage.database.driver === 'sqlite';
  if (alone) await registry.uploads.releaseAll();
  const { metrics } = observability;
  const housekeeping = createHousekeeping({ db: storage.db, content, logger, metrics });
  const leases = new Leases({ db: storage.db });
  const { reconciler, audit } = registry;
  const background = { housekeeping, reconciler, leases, audit, logger, alone };
  started.use(await startBackground(background, config.registry));

  const federation = started.use(startFederation(config, { db: storage.db, registry, logger, metrics }));
  const denials = started.use(openDenialLog(storage.db, { logger, metrics: observability.metrics }));
  const trustedProxies = new TrustedProxies(config.registry.trustedProxies);
  const app = createRegistryApp(registry, {
    logger,
    authenticator: auth?.authenticator ?? new OpenAuthenticator(),
    tokens: auth,
    logins: auth && browserLogins(auth, authConfig),
    accounts,
    maxManifestSize: limits.manifestSize,
    deletes: config.registry.api.deletes,
    federation: federation.services,
    housekeeping,
    denials,
    trustedProxies,
    rateLimits: requestLimits(config, observability.metrics),
    redirects: new BlobRedirects(config.registry.storage.s3.redirect),
    accessLog: monitoring.accessLog,
    metrics: observability.metrics,
    tracer: observability.tracer,
  });
  const health = registryHealth(storage, monitoring);
  registryGauges(registry, observability);
  const watch = monitoringOf(health, observability, logger);
  if (monitoring.listen !== null) started.use(await listenForMonitoring(watch, monitoring.listen));
  const certificates = openCertificates(config, role, observability.metrics);
  if (certificates) started.use(certificates);
  const server = createRegistryServer(app, {
    monitoring: monitoring.listen === null ? watch : undefined,
    certificates,
    admits: admittedPeers(config, trustedProxies),
  });
  started.defer(() => closeServer(server, requestGrace(config)));
  const address = await listen(server, config.registry.listen, { secure: certificates !== undefined });
  started.defer(() => drain(health, config.registry.drainDelay));

  const running = started.move();
  return { addresses: [address], [Symbol.asyncDispose]: () => running.disposeAsync() };
}
