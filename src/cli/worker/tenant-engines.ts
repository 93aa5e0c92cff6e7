import type { IncomingMessage, Server } from 'node:http';
import { join } from 'node:path';
import { SingleFlight } from '#async/single-flight.ts';
import type { Config } from '#config/schema.ts';
import { unauthorized, unavailable } from '#errors/errors.ts';
import { createDispatchServer } from '#pool/http/dispatch-server.ts';
import type { Membership } from '#pool/member/membership.ts';
import { readTenant, TENANT_HEADER, type TenantIdentity } from '#pool/tenants/tenant-header.ts';
import { type TenantPlace, TenantPlaces } from '#pool/tenants/tenant-places.ts';
import { tenantRoom } from './tenant-config.ts';
import { TenantEngine, type TenantEnginePorts } from './tenant-engine.ts';

/** In milliseconds. */
const GONE = 5_000;

/**
 * The engines of a worker's tenants: each has containers, images, networks, volumes, builds and caches of its own, in
 * folders and a database of its own, so that nothing of one is in reach of another. One begins with its tenant's first
 * request, and again with the worker.
 */
export class TenantEngines {
  readonly #ports: TenantEnginePorts;
  readonly #config: Config;
  readonly #places: TenantPlaces;
  readonly #gone = new Map<string, number>();
  readonly #engines = new Map<string, TenantEngine>();
  readonly #starts = new SingleFlight<TenantEngine>();
  #membership: Membership | undefined;

  private constructor(
    ports: TenantEnginePorts,
    config: Config,
    places: TenantPlaces,
    closing: AsyncDisposableStack,
  ) {
    this.#ports = ports;
    this.#config = config;
    this.#places = places;
    closing.defer(async () => {
      await Promise.all([...this.#engines.values()].map((engine) => engine[Symbol.asyncDispose]()));
    });
  }

  /** Those that were there before are there when this resolves; one that cannot begin keeps none of the others from it. */
  static async open(
    ports: TenantEnginePorts,
    config: Config,
    closing: AsyncDisposableStack,
  ): Promise<TenantEngines> {
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

  /** From now on this is the worker's place in its pool. */
  follow(membership: Membership): void {
    this.#membership = membership;
    for (const engine of this.#engines.values()) engine.follow(membership);
  }

  /** Those that this worker has something of, each with the policy that it is held to. */
  list(): TenantIdentity[] {
    return [...this.#engines].map(([name, { policy }]) => ({ name, policy }));
  }

  /** The engine of a tenant, held to this policy from now on. */
  async of(tenant: TenantIdentity): Promise<TenantEngine> {
    this.#refuseGone(tenant.name);
    const place = await this.#places.of(tenant);
    const engine =
      this.#engines.get(tenant.name) ?? (await this.#starts.run(tenant.name, () => this.#start(place)));
    await engine.use(tenant.policy);
    return engine;
  }

  /** Takes away everything that a tenant has here; whoever asks in its name for a while yet is told so. */
  async remove(name: string): Promise<void> {
    this.#gone.set(name, performance.now());
    const place = this.#places.list().find((each) => each.name === name);
    if (!place) return;
    const engine = this.#engines.get(name) ?? (await this.#starts.run(name, () => this.#start(place)));
    this.#engines.delete(name);
    await engine.remove();
    await this.#places.remove(name);
    this.#ports.log.info({ tenant: name }, 'what a tenant had here is gone');
  }

  async #start(place: TenantPlace): Promise<TenantEngine> {
    const known = this.#engines.get(place.name);
    if (known) return known;
    const engine = await TenantEngine.start(this.#ports, this.#config, place);
    if (this.#membership) engine.follow(this.#membership);
    this.#engines.set(place.name, engine);
    return engine;
  }

  /** Gateways may not have heard of it yet, and would have it made anew. */
  #refuseGone(name: string): void {
    const at = this.#gone.get(name);
    if (at === undefined) return;
    if (performance.now() - at < GONE) throw unavailable(`the tenant '${name}' was removed just now`);
    this.#gone.delete(name);
  }
}

function headerOf({ headers }: IncomingMessage): string | undefined {
  const value = headers[TENANT_HEADER];
  return Array.isArray(value) ? value.join() : value;
}

function isSame(a: TenantIdentity['policy'], b: TenantIdentity['policy']): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
