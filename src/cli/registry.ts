import { OpenAuthenticator } from '#auth/open-authenticator.ts';
import type { Config } from '#config/schema.ts';
import { createRegistryApp } from '#registry/http/registry-app.ts';
import { closeServer, createRegistryServer } from '#registry/http/registry-server.ts';
import { createRegistry } from '#registry/registry.ts';
import { listen } from './listen.ts';
import { startBackground } from './registry-background.ts';
import { openRegistryStorage } from './registry-storage.ts';
import type { RoleContext, RunningRole } from './role.ts';

/** How long requests under way may go on after a stop was asked for. */
const STOP_GRACE = 5_000;

/** What the registry role reads of the configuration. */
type RegistryConfig = Pick<Config, 'dataDir'> & { registry: Pick<Config['registry'], 'listen' | 'limits'> };

/** The composition root of the registry: its storage, its services, what it does in the background, its APIs. */
export async function startRegistry(config: RegistryConfig, role: RoleContext): Promise<RunningRole> {
  await using started = new AsyncDisposableStack();
  const { logger } = role;
  const { limits } = config.registry;
  const storage = started.use(await openRegistryStorage(config));
  const registry = createRegistry(storage);
  started.use(await startBackground(registry, { uploadExpiry: limits.uploadExpiry, logger }));

  const app = createRegistryApp(registry, {
    logger,
    authenticator: new OpenAuthenticator(),
    maxManifestSize: limits.manifestSize,
  });
  const server = createRegistryServer(app);
  started.defer(() => closeServer(server, STOP_GRACE));
  const address = await listen(server, config.registry.listen);

  const running = started.move();
  return { addresses: [address], [Symbol.asyncDispose]: () => running.disposeAsync() };
}
