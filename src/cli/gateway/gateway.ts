import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import { openPoolDatabase, type PoolDatabase } from '#database/pool/open.ts';
import { HttpTransport } from '#distribution/http-transport.ts';
import { Registries } from '#distribution/registries.ts';
import { RegistryHosts } from '#distribution/registry-hosts.ts';
import { BuildHomes } from '#pool/gateway/build-homes.ts';
import { BuildHomesRepository } from '#pool/gateway/build-homes-repository.ts';
import { BuildTurns } from '#pool/gateway/build-turns.ts';
import { BuildTurnsRepository } from '#pool/gateway/build-turns-repository.ts';
import { Forwarder } from '#pool/gateway/forward.ts';
import { GrpcProxy } from '#pool/gateway/grpc-proxy.ts';
import { PlacementsRepository } from '#pool/gateway/placements-repository.ts';
import { Placer } from '#pool/gateway/placer.ts';
import { PoolContents } from '#pool/gateway/pool-contents.ts';
import { PoolImages } from '#pool/gateway/pool-images.ts';
import { PoolMetrics } from '#pool/gateway/pool-metrics.ts';
import { PoolObjects } from '#pool/gateway/pool-objects.ts';
import { WorkersWatch } from '#pool/gateway/watch-workers.ts';
import { WorkerAgents } from '#pool/gateway/worker-agents.ts';
import { WorkerClient } from '#pool/gateway/worker-client.ts';
import { WorkerClocks } from '#pool/gateway/worker-clocks.ts';
import { WorkerContentsRepository } from '#pool/gateway/worker-contents-repository.ts';
import { type GatewayCredentials, Workers } from '#pool/gateway/workers.ts';
import { contextRoutes } from '#pool/http/context-routes.ts';
import { gatewayRoutes } from '#pool/http/gateway/gateway-routes.ts';
import { guardRoutes } from '#pool/http/guard-routes.ts';
import { lendingRoute } from '#pool/http/lending-route.ts';
import { operatorRoutes } from '#pool/http/operator-routes.ts';
import { queueRoutes } from '#pool/http/queue-routes.ts';
import { remainsRoutes } from '#pool/http/remains-routes.ts';
import { triggerEvents } from '#pool/http/trigger-events.ts';
import { gatewayCredentials, WorkerServer } from '#pool/http/worker-server.ts';
import { OverlayEndpointsRepository } from '#pool/overlay/overlay-endpoints-repository.ts';
import { OverlayNetworksRepository } from '#pool/overlay/overlay-networks-repository.ts';
import { Overlays } from '#pool/overlay/overlays.ts';
import { PortClaimsRepository } from '#pool/ports/port-claims-repository.ts';
import { PublishedPorts } from '#pool/ports/published-ports.ts';
import { TenantAccessRepository } from '#pool/tenants/tenant-access-repository.ts';
import type { TenantIdentity } from '#pool/tenants/tenant-header.ts';
import { allowsGatewayPort } from '#pool/tenants/tenant-policy.ts';
import { TenantRemovalRepository } from '#pool/tenants/tenant-removal-repository.ts';
import { fingerprint } from '#pool/workers/certificates.ts';
import { Enrolment } from '#pool/workers/enrolment.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { apiRoutes } from '#worker/http/api/api.ts';
import { observedRequests } from '#worker/http/observed-requests.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import { listenForBuildkit } from '../pool/buildkit-listener.ts';
import { poolDatabaseOptions } from '../pool/database.ts';
import { jobCredentials } from '../pool/job-credentials.ts';
import { createPoolJobs, type PoolJobs } from '../pool/jobs.ts';
import { ClientConnections } from '../process/client-connections.ts';
import { listen } from '../process/listen.ts';
import { createObservability } from '../process/observability.ts';
import type { RoleContext, RunningRole } from '../process/role.ts';
import { watchGateway } from './monitoring.ts';
import { overlayRequests } from './overlays.ts';
import { peerRequests } from './peers.ts';
import { stepRequests } from './steps.ts';
import { type CreateTenantServer, clientTls, GatewayTenants, gatewayContext } from './tenants.ts';

/** The Docker Engine API of a pool. All that it knows is in the pool's database: there may be any number of gateways. */
export async function startGateway(config: Config, role: RoleContext): Promise<RunningRole> {
  const { logger } = role;
  await using started = new AsyncDisposableStack();
  const observability = started.use(await createObservability('gateway', config, logger));
  const stopping = new AbortController();
  const database = await poolDatabaseOptions(config);
  const db = await openPoolDatabase(database);
  started.defer(() => db.destroy());
  started.defer(() => stopping.abort());
  const leases = new WorkerLeasesRepository(db);
  const enrolment = await Enrolment.open(new MembershipRepository(db), { life: config.pool.certificateLife });
  const credentials = await renewedCredentials(
    enrolment,
    { life: config.pool.certificateLife, hosts: config.gateway.tls.names },
    started,
  );
  const workerServer = new WorkerServer(
    { enrolment, leases, contents: new WorkerContentsRepository(db), log: logger },
    { credentials: credentials.current(), leaseDuration: config.pool.lease },
  );
  credentials.onRenewed((renewed) => workerServer.server.setSecureContext(renewed));
  started.defer(() => workerServer.close());

  const poolMetrics = new PoolMetrics(observability.metrics);
  const parts = gatewayParts(db, {
    leases,
    credentials: credentials.current,
    config,
    metrics: poolMetrics,
    logger,
    started,
  });
  const router = createEngineRouter();
  gatewayRoutes(router, parts, { id: fingerprint(enrolment.authority.certificate) });
  const watching = new WorkersWatch({ ...parts, log: logger }).run(stopping.signal);
  started.defer(async () => {
    stopping.abort();
    await watching;
  });
  const jobs = await createPoolJobs(
    {
      db,
      database,
      registries: registriesOf(config, started),
      credentials: jobCredentials(config),
      log: logger,
    },
    config,
    started,
  );
  overlayRequests(workerServer, { db, database, leases, started });
  stepRequests(workerServer, { db, database, started });
  peerRequests(workerServer, { db, parts, leases, credentials: credentials.current, started });
  remainsRoutes(workerServer, { removals: new TenantRemovalRepository(db) });
  lendingRoute(workerServer, parts);
  queueRoutes(workerServer, { queue: jobs.queue(), summons: jobs.summons });
  contextRoutes(router, jobs.jobs);
  const events = createEngineRouter();
  triggerEvents(events, jobs.triggers);
  apiRoutes(router, jobs.operations, logger);

  const workersAt = config.gateway.workers.listen ?? `unix://${join(config.runDir, 'pool.sock')}`;
  const addresses: string[] = [];
  const observed = observedRequests(observability);
  const id = fingerprint(enrolment.authority.certificate);
  const create: CreateTenantServer = (identity, closing) =>
    tenantServer(db, {
      identity,
      id,
      jobs: jobs.forTenant(identity),
      leases,
      credentials: credentials.current,
      metrics: poolMetrics,
      observed,
      config,
      logger,
      started: closing,
    });
  const tenants = new GatewayTenants(
    { db, create, events: createEngineServer(events, logger, observed), log: logger },
    config,
    started,
  );
  const clients = new ClientConnections();
  // Steps of builds that come by other gateways; workers themselves are served until the end.
  workerServer.server.on('upgrade', (_req, socket) => clients.hold(socket));
  started.defer(async () => {
    await clients.leave(0);
    await clients.cut();
  });
  const isSecure = config.gateway.tls.certificate !== null || config.gateway.tls.names.length > 0;
  for (const address of config.gateway.listen) {
    const secured = isSecure && !address.startsWith('unix:');
    const server = tenants.server(createEngineServer(router, logger, observed), { must: secured });
    const front = secured
      ? clientTls(server, config.gateway, { credentials: credentials.current, role })
      : server;
    if ('renew' in front) credentials.onRenewed(() => front.renew());
    clients.watch(front, server);
    addresses.push(await listen(front, address, { group: config.worker.socketGroup }));
  }
  const { buildkit, drainTimeout } = config.gateway;
  const builders = { buildkit, socketGroup: config.worker.socketGroup };
  const building = isSecure
    ? {
        context: () => gatewayContext(config.gateway.tls, credentials.current()),
        onRenewed: (renew: () => void) => {
          credentials.onRenewed(renew);
          role.onReload(renew);
        },
        grpcOf: (certificate: string) => tenants.grpcOf(certificate),
      }
    : undefined;
  const listening = { grpc: parts.grpc, role, started, clients, tenants: building };
  addresses.push(...(await listenForBuildkit(builders, listening)));
  await watchGateway(config, { db, observability, logger, started, signal: role.signal });
  addresses.push(await listen(workerServer.server, workersAt, { secure: true }));
  const running = started.move();
  return {
    addresses,
    async drain() {
      if (clients.count > 0 && drainTimeout > 0)
        logger.info({ clients: clients.count }, 'waiting for what passes through');
      await clients.leave(drainTimeout);
      if (clients.count > 0) logger.warn({ clients: clients.count }, 'not waiting any longer');
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** What a tenant's clients reach: an engine of the pool's workers that is theirs alone. */
function tenantServer(
  db: PoolDatabase,
  options: Parameters<typeof gatewayParts>[1] & {
    identity: () => TenantIdentity;
    id: string;
    jobs: ReturnType<PoolJobs['forTenant']>;
    observed: ReturnType<typeof observedRequests>;
  },
): ReturnType<CreateTenantServer> {
  const { identity, id, jobs, observed, logger, started } = options;
  const parts = gatewayParts(db, options);
  const router = createEngineRouter();
  guardRoutes(router, {
    policy: () => identity().policy,
    countContainers: () => parts.placements.countContainers(),
  });
  gatewayRoutes(router, parts, { id: `${id}-${identity().name}` });
  contextRoutes(router, jobs.jobs);
  operatorRoutes(router);
  apiRoutes(router, jobs.operations, logger);
  const stopping = new AbortController();
  const watching = new WorkersWatch({ ...parts, log: logger }).run(stopping.signal);
  started.defer(async () => {
    stopping.abort();
    await watching;
  });
  return {
    server: createEngineServer(router, logger, observed),
    grpc: parts.grpc,
    published: parts.published,
  };
}

function gatewayParts(
  db: PoolDatabase,
  {
    identity,
    leases,
    credentials,
    config,
    metrics,
    logger: log,
    started,
  }: {
    metrics: PoolMetrics;
    /** Of whom it is asked; undefined: the operator. */
    identity?: () => TenantIdentity;
    leases: WorkerLeasesRepository;
    credentials: () => GatewayCredentials;
    config: Config;
    logger: Logger;
    started: AsyncDisposableStack;
  },
) {
  const tenant = identity?.().name ?? '';
  const agents = started.use(new WorkerAgents());
  const client = new WorkerClient(agents);
  const members = { leases, agents, credentials };
  const workers = new Workers({ ...members, ...(identity && { tenant: identity }) });
  const placements = new PlacementsRepository(db, tenant);
  const objects = new PoolObjects({ placements, workers, client, log });
  const contents = new PoolContents(
    { rows: new WorkerContentsRepository(db), workers, client, log },
    { tenant },
  );
  const images = new PoolImages({ workers, client, contents });
  const endpoints = new OverlayEndpointsRepository(db, tenant);
  const overlays = new Overlays(
    { networks: new OverlayNetworksRepository(db, tenant), endpoints },
    { ...config.pool.overlay, ...(identity && { most: () => identity().policy.overlays }) },
  );
  const addressOf = (worker: string) => endpoints.addressOf(worker);
  const published = config.gateway.publishPorts
    ? started.use(
        new PublishedPorts({
          workers,
          client,
          claims: new PortClaimsRepository(db),
          tenant,
          allows: (port) => !identity || allowsGatewayPort(identity().policy, port),
          workersOf: async (name) => {
            if (name === '') return new Workers(members);
            const found = (await new TenantAccessRepository(db).identities([name])).get(name);
            return found && new Workers({ ...members, tenant: () => found });
          },
          addressOf,
          log,
        }),
      )
    : undefined;
  const placer = new Placer(
    { workers, placements, objects, images, contents, client, metrics },
    { strategy: config.gateway.placement },
  );
  const rows = new BuildTurnsRepository(db);
  const turns = started.use(
    new BuildTurns(
      { rows, workers, contents, log, waited: (seconds) => metrics.waited(seconds) },
      { tenant },
    ),
  );
  const homes = new BuildHomes(
    { homes: new BuildHomesRepository(db, tenant), workers, turns, rows },
    { tenant },
  );
  const grpc = started.use(
    new GrpcProxy({ homes, workers, contents, log }, { keepAliveMs: config.gateway.buildkit.keepAlive }),
  );
  return {
    workers,
    placements,
    objects,
    images,
    contents,
    placer,
    overlays,
    published,
    client,
    clocks: new WorkerClocks({ client }),
    forwarder: new Forwarder(agents),
    homes,
    grpc,
    log,
  };
}

/** This gateway's key and certificate, made anew in time. */
async function renewedCredentials(
  enrolment: Enrolment,
  options: { life: number; hosts: readonly string[] },
  started: AsyncDisposableStack,
) {
  let current = await gatewayCredentials(enrolment, options);
  const listeners: ((renewed: GatewayCredentials) => void)[] = [];
  const timer = setInterval(
    async () => {
      current = await gatewayCredentials(enrolment, options);
      for (const tell of listeners) tell(current);
    },
    Math.min(options.life / 2, 2 ** 31 - 1),
  );
  started.defer(() => clearInterval(timer));
  return {
    current: () => current,
    onRenewed(listener: (renewed: GatewayCredentials) => void) {
      listeners.push(listener);
    },
  };
}

/** Where what jobs made gets its names. */
function registriesOf({ worker }: Config, started: AsyncDisposableStack): Registries {
  const hosts = new RegistryHosts({ mirrors: worker.registryMirrors, insecure: worker.insecureRegistries });
  return new Registries({ transport: started.use(new HttpTransport()), hosts });
}
