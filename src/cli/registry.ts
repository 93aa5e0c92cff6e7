import { OpenAuthenticator } from '#auth/open-authenticator.ts';
import type { Config } from '#config/schema.ts';
import { ObservedContentStore } from '#content/observed-content-store.ts';
import { Operations } from '#observability/operations.ts';
import { createRegistryApp } from '#registry/http/registry-app.ts';
import { closeServer, createRegistryServer } from '#registry/http/registry-server.ts';
import { createRegistry } from '#registry/registry.ts';
import { listen } from './listen.ts';
import { startBackground } from './registry-background.ts';
import { listenForMonitoring, registryHealth, registryMonitoring } from './registry-monitoring.ts';
import { createObservability } from './registry-observability.ts';
import { drain, requestGrace } from './registry-shutdown.ts';
import { openRegistryStorage } from './registry-storage.ts';
import type { RoleContext, RunningRole } from './role.ts';

/** The composition root of the registry: its storage, its services, what it does in the background, its APIs. */
export async function startRegistry(config: Config, role: RoleContext): Promise<RunningRole> {
  await using started = new AsyncDisposableStack();
  const { logger } = role;
  const { limits, monitoring } = config.registry;
  const observability = started.use(await createObservability(config, logger));
  const storage = started.use(await openRegistryStorage(config));
  const content = new ObservedContentStore(storage.content, new Operations('content', observability));
  const registry = createRegistry({ db: storage.db, content });
  started.use(await startBackground(registry, { uploadExpiry: limits.uploadExpiry, logger }));

  const app = createRegistryApp(registry, {
    logger,
    authenticator: new OpenAuthenticator(),
    maxManifestSize: limits.manifestSize,
    accessLog: monitoring.accessLog,
    metrics: observability.metrics,
    tracer: observability.tracer,
  });
  const health = registryHealth(storage, monitoring);
  const watch = registryMonitoring(health, observability, logger);
  if (monitoring.listen !== null) started.use(await listenForMonitoring(watch, monitoring.listen));
  const server = createRegistryServer(app, { monitoring: monitoring.listen === null ? watch : undefined });
  started.defer(() => closeServer(server, requestGrace(config)));
  const address = await listen(server, config.registry.listen);
  started.defer(() => drain(health, config.registry.drainDelay));

  const running = started.move();
  return { addresses: [address], [Symbol.asyncDispose]: () => running.disposeAsync() };
}
