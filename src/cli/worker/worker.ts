import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import { unavailable } from '#errors/errors.ts';
import type { Agent } from '#pool/agent/agent.ts';
import { GatewayJobQueue } from '#pool/agent/gateway-job-queue.ts';
import { contextRoutes } from '#pool/http/context-routes.ts';
import { triggerEvents } from '#pool/http/trigger-events.ts';
import { followRemovals } from '#pool/member/follow-removals.ts';
import { GatewayOverlayLink } from '#pool/member/gateway-overlay-link.ts';
import { GatewayPeers } from '#pool/member/gateway-peers.ts';
import { GatewayStepClaims } from '#pool/member/gateway-step-claims.ts';
import type { Membership } from '#pool/member/membership.ts';
import { apiRoutes } from '#worker/http/api/api.ts';
import { buildOperations } from '#worker/http/api/build-operations.ts';
import { observedRequests } from '#worker/http/observed-requests.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import { SharedFirewall } from '#worker/networks/firewall/shared-firewall.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { missingParts } from '#worker/runtime/host/missing-parts.ts';
import { probeHost } from '#worker/runtime/host/probe-host.ts';
import { listenForBuildkit } from '../pool/buildkit-listener.ts';
import { listen } from '../process/listen.ts';
import { createObservability } from '../process/observability.ts';
import type { RoleContext, RunningRole } from '../process/role.ts';
import { newContent } from './content.ts';
import { drainWorker } from './drain.ts';
import { createOwnJobs, startAgent } from './jobs.ts';
import { joinPool } from './membership.ts';
import { watchWorker } from './monitoring.ts';
import { openTenantEngines } from './open-tenant-engines.ts';
import { WorkerOverlays } from './overlay.ts';
import { createWorkerParts, type WorkerParts } from './parts.ts';
import { addWorkerRoutes } from './routes.ts';
import type { TenantEngines } from './tenant-engines.ts';

/** How long requests under way may go on after a stop was asked for. */
const STOP_GRACE = 3_000;

/** The Docker Engine API over runc, overlayfs and this machine's network. */
export async function startWorker(config: Config, role: RoleContext): Promise<RunningRole> {
  const host = await probeHost();
  refuseIncomplete(host);
  await using started = new AsyncDisposableStack();
  const { logger } = role;
  const observability = started.use(await createObservability('worker', config, logger));
  const { metrics, traces } = observability;
  const firewall = new SharedFirewall(config.worker.network.defaultBridge.name.toUpperCase());
  const claims = new GatewayStepClaims();
  const peers = new GatewayPeers();
  const isPooled = config.worker.pool.join !== null;
  const overlays = WorkerOverlays.of(config);
  const overlayLink = new GatewayOverlayLink();
  const pooled = isPooled
    ? { claims, peers: peers.of(undefined), overlay: overlays?.part(overlayLink, logger) }
    : {};
  const ports = { logger, metrics, traces, firewall, ...pooled };
  const parts = await createWorkerParts(config, host, ports, started);
  const router = createEngineRouter();
  await addWorkerRoutes(router, parts, host, config);
  const jobs = await ownJobs(config, parts, logger, started);
  if (jobs) contextRoutes(router, jobs.jobs);
  if (jobs) triggerEvents(router, jobs.triggers);
  apiRoutes(router, [...buildOperations(parts.builds.catalog), ...(jobs?.operations ?? [])], logger);

  const addresses: string[] = [];
  const observed = observedRequests(observability);
  const own = createEngineServer(router, logger, observed);
  const tenants = isPooled
    ? await openTenantEngines(
        { host, firewall, observed, claims, peers, overlays: overlays!, log: logger },
        config,
        started,
      )
    : undefined;
  for (const address of config.worker.listen) {
    const server = tenants?.server(own, { must: false }) ?? createEngineServer(router, logger, observed);
    const connections = connectionsOf(server);
    started.defer(() => closeServer(server, connections));
    addresses.push(await listen(server, address, { group: config.worker.socketGroup }));
  }
  addresses.push(...(await listenForBuildkit(config.worker, { grpc: parts.builds.grpc, role, started })));
  await watchWorker(config.worker.monitoring, parts, observability, { logger, started });
  const engine = tenants?.server(own, { must: true }) ?? own;
  const content = newContent(parts, started);
  const membership = await joinPool(config, { engine, content, logger, started });
  if (membership) followPool(parts, { claims, peers, overlayLink, tenants }, membership);
  if (membership && tenants) {
    started.use(followRemovals(membership, tenants, logger));
  }
  const agent = membership && (await startPoolAgent(membership, config, { parts, tenants, logger, started }));
  await jobs?.start();
  const running = started.move();
  const underWay = () => parts.builds.underWay();
  return {
    addresses,
    async drain() {
      if (!membership || !agent) return;
      await drainWorker({ membership, agent, underWay, log: logger }, config.worker.pool.drainTimeout);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Overlay networks are the pool's, and what other workers have. */
function followPool(
  { networks, lender }: WorkerParts,
  {
    claims,
    peers,
    overlayLink,
    tenants,
  }: {
    claims: GatewayStepClaims;
    peers: GatewayPeers;
    overlayLink: GatewayOverlayLink;
    tenants: TenantEngines | undefined;
  },
  membership: Membership,
): void {
  lender.join(membership);
  claims.use(membership);
  peers.use(membership);
  overlayLink.use((method, path, body) => membership.ask(method, path, body));
  tenants?.follow(membership);
  membership.on('held', () => networks.doubtOverlays());
}

/** A worker of a pool does its jobs, which it gets from the gateway. */
async function startPoolAgent(
  membership: Membership,
  config: Config,
  {
    parts,
    tenants,
    logger: log,
    started,
  }: {
    parts: WorkerParts;
    tenants: TenantEngines | undefined;
    logger: Logger;
    started: AsyncDisposableStack;
  },
): Promise<Agent> {
  const queue = new GatewayJobQueue(membership);
  const claimant = () => membership.claimant;
  return started.use(
    await startAgent({ queue, claimant, tenants, registries: parts.images.registries, log }, config),
  );
}

/** A worker of nobody's pool has a queue of its own. */
async function ownJobs(
  config: Config,
  { images: { registries } }: WorkerParts,
  log: Logger,
  started: AsyncDisposableStack,
): Promise<Awaited<ReturnType<typeof createOwnJobs>> | undefined> {
  if (config.worker.pool.join !== null) return undefined;
  return await createOwnJobs({ registries, log }, config, started);
}

function refuseIncomplete(host: HostFacts): void {
  const missing = missingParts(host).filter(({ required }) => required);
  if (missing.length === 0) return;
  const remedies = missing.map(({ name, remedy }) => `${name} (${remedy})`);
  throw unavailable(`this machine lacks ${remedies.join(', ')}`);
}

/** The open ones, also those that no longer speak HTTP, of which the server itself knows nothing. */
function connectionsOf(server: Server): ReadonlySet<Socket> {
  const connections = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  return connections;
}

async function closeServer(server: Server, connections: ReadonlySet<Socket>): Promise<void> {
  if (!server.listening) return;
  server.close();
  server.closeIdleConnections();
  const hurry = setTimeout(() => {
    for (const connection of connections) connection.destroy();
  }, STOP_GRACE);
  await once(server, 'close');
  clearTimeout(hurry);
}
