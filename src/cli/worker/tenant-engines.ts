import type { IncomingMessage, Server } from 'node:http';
import { join } from 'node:path';
import type Koa from 'koa';
import type { Logger } from 'pino';
import { SingleFlight } from '#async/single-flight.ts';
import type { Config } from '#config/schema.ts';
import { forbidden, unauthorized } from '#errors/errors.ts';
import { NO_METRICS } from '#observability/metrics.ts';
import { createDispatchServer } from '#pool/http/dispatch-server.ts';
import { guardRoutes } from '#pool/http/guard-routes.ts';
import type { GatewayPeers } from '#pool/member/gateway-peers.ts';
import type { GatewayStepClaims } from '#pool/member/gateway-step-claims.ts';
import { readTenant, TENANT_HEADER, type TenantIdentity } from '#pool/tenants/tenant-header.ts';
import { type TenantPlace, TenantPlaces } from '#pool/tenants/tenant-places.ts';
import { allowsRegistry } from '#pool/tenants/tenant-policy.ts';
import { tighter } from '#worker/build/drivers/exec/step-resources.ts';
import { apiRoutes } from '#worker/http/api/api.ts';
import { buildOperations } from '#worker/http/api/build-operations.ts';
import { createEngineRouter, type EngineState } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import type { SharedFirewall } from '#worker/networks/firewall/shared-firewall.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { createWorkerParts } from './parts.ts';
import { addWorkerRoutes } from './routes.ts';
import { tenantConfig, tenantRoom } from './tenant-config.ts';

interface Ports {
  readonly host: HostFacts;
  readonly firewall: SharedFirewall;
  readonly observed: Koa.Middleware<EngineState>;
  readonly claims: GatewayStepClaims;
  readonly peers: GatewayPeers;
  readonly log: Logger;
}

interface TenantEngine {
  readonly server: Server;
  /** As last heard of. */
  policy: TenantIdentity['policy'];
}

/**
 * The engines of a worker's tenants: each has containers, images, networks, volumes, builds and caches of its own, in
 * folders and a database of its own, so that nothing of one is in reach of another. One begins with its tenant's first
 * request, and again with the worker.
 */
export class TenantEngines {
  readonly #ports: Ports;
  readonly #config: Config;
  readonly #places: TenantPlaces;
  readonly #closing: AsyncDisposableStack;
  readonly #engines = new Map<string, TenantEngine>();
  readonly #starts = new SingleFlight<TenantEngine>();

  private constructor(ports: Ports, config: Config, places: TenantPlaces, closing: AsyncDisposableStack) {
    this.#ports = ports;
    this.#config = config;
    this.#places = places;
    this.#closing = closing.use(new AsyncDisposableStack());
  }

  /** Those that were there before are there when this resolves; one that cannot begin keeps none of the others from it. */
  static async open(ports: Ports, config: Config, closing: AsyncDisposableStack): Promise<TenantEngines> {
    const file = join(config.dataDir, 'tenants', 'tenants.json');
    const engines = new TenantEngines(
      ports,
      config,
      await TenantPlaces.open(file, tenantRoom(config)),
      closing,
    );
    for (const place of engines.#places.list()) {
      await engines
        .of(place)
        .catch((err: unknown) =>
          ports.log.error({ err, tenant: place.name }, 'a tenant’s engine does not begin'),
        );
    }
    return engines;
  }

  /**
   * A server that hands requests to the engine of the tenant that they are for, and the operator's to `operator`. Where
   * `must`, a request that does not say for whom it is, is nobody's.
   */
  server(operator: Server, { must }: { must: boolean }): Server {
    return createDispatchServer((req) => {
      const header = headerOf(req);
      if (header === undefined) {
        if (must) throw unauthorized('a gateway has to say for whom it asks');
        return operator;
      }
      const tenant = readTenant(header);
      if (!tenant) return operator;
      const known = this.#engines.get(tenant.name);
      if (known && isSame(known.policy, tenant.policy)) return known.server;
      return this.of(tenant).then(({ server }) => server);
    }, this.#ports.log);
  }

  /** Those that this worker has something of, each with the policy that it is held to. */
  list(): TenantIdentity[] {
    return [...this.#engines].map(([name, { policy }]) => ({ name, policy }));
  }

  /** The engine of a tenant, held to this policy from now on. */
  async of(tenant: TenantIdentity): Promise<TenantEngine> {
    const place = await this.#places.of(tenant);
    const engine =
      this.#engines.get(tenant.name) ?? (await this.#starts.run(tenant.name, () => this.#start(place)));
    engine.policy = tenant.policy;
    return engine;
  }

  async #start(place: TenantPlace): Promise<TenantEngine> {
    const known = this.#engines.get(place.name);
    if (known) return known;
    const { host, firewall, observed, claims, peers } = this.#ports;
    const log = this.#ports.log.child({ tenant: place.name });
    const config = tenantConfig(this.#config, place);
    await using started = new AsyncDisposableStack();
    const router = createEngineRouter();
    const engine: TenantEngine = { server: createEngineServer(router, log, observed), policy: place.policy };
    const allowRegistry = (domain: string) => {
      if (!allowsRegistry(engine.policy, domain)) {
        throw forbidden(`your tenant's policy does not allow the registry ${domain}`);
      }
    };
    const parts = await createWorkerParts(
      config,
      host,
      {
        logger: log,
        claims,
        peers: peers.of(place.name),
        metrics: NO_METRICS,
        firewall,
        allowRegistry,
        stepBounds: () => tighter({ ...config.worker.build.steps, unconfined: true }, engine.policy),
      },
      started,
    );
    guardRoutes(router, {
      policy: () => engine.policy,
      countContainers: () => parts.containers.counts().containers,
    });
    await addWorkerRoutes(router, parts, host, config);
    apiRoutes(router, buildOperations(parts.builds.catalog), log);
    this.#engines.set(place.name, engine);
    const running = started.move();
    this.#closing.defer(() => running.disposeAsync());
    return engine;
  }
}

function headerOf({ headers }: IncomingMessage): string | undefined {
  const value = headers[TENANT_HEADER];
  return Array.isArray(value) ? value.join() : value;
}

function isSame(a: TenantIdentity['policy'], b: TenantIdentity['policy']): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
