import type { IncomingMessage, Server } from 'node:http';
import type { Logger } from 'pino';
import { SingleFlight } from '#async/single-flight.ts';
import { unauthorized, unavailable } from '#errors/errors.ts';
import { createDispatchServer } from '#pool/http/dispatch-server.ts';
import type { Membership } from '#pool/member/membership.ts';
import { generationOf, readTenant, TENANT_HEADER, type TenantIdentity } from '#pool/tenants/tenant-header.ts';
import type { TenantPlace, TenantPlaces } from '#pool/tenants/tenant-places.ts';
import type { HeldTenant } from '#pool/tenants/tenant-removal-repository.ts';
import type { TenantEngine } from './tenant-engine.ts';

/** In milliseconds. */
const GONE = 5_000;

/** A tenant's, as far as what keeps several of them has to know it. */
type Engine = Pick<
  TenantEngine,
  'server' | 'policy' | 'use' | 'follow' | 'remove' | typeof Symbol.asyncDispose
>;

/**
 * The engines of a worker's tenants: each has containers, images, networks, volumes, builds and caches of its own, in
 * folders and a database of its own, so that nothing of one is in reach of another. One begins with its tenant's first
 * request, and again with the worker.
 */
export class TenantEngines implements AsyncDisposable {
  readonly #start: (place: TenantPlace) => Promise<Engine>;
  readonly #places: TenantPlaces;
  readonly #log: Logger;
  /** Until when nobody of up to a generation is let in, on the clock of `performance`: for ever while it is being taken away. */
  readonly #gone = new Map<string, { readonly generation: number; readonly until: number }>();
  readonly #engines = new Map<string, Engine>();
  readonly #starts = new SingleFlight<Engine>();
  readonly #removals = new SingleFlight<void>();
  #membership: Membership | undefined;

  /** `start`: begins the engine of a place, which is then this one's to dispose. */
  constructor(ports: {
    start: (place: TenantPlace) => Promise<Engine>;
    places: TenantPlaces;
    log: Logger;
  }) {
    this.#start = ports.start;
    this.#places = ports.places;
    this.#log = ports.log;
  }

  /** Has those begin that were there before; one that cannot keeps none of the others from it. */
  async begin(): Promise<void> {
    for (const place of this.#places.list()) {
      await this.of(place).catch((err: unknown) =>
        this.#log.error({ err, tenant: place.name }, 'a tenant’s engine does not begin'),
      );
    }
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
      if (known && this.#isPlaced(tenant) && isSame(known.policy, tenant.policy)) return known.server;
      return this.of(tenant).then(({ server }) => server);
    }, this.#log);
  }

  /** From now on this is the worker's place in its pool. */
  follow(membership: Membership): void {
    this.#membership = membership;
    for (const engine of this.#engines.values()) engine.follow(membership);
  }

  /** Those that this worker has something of, each with the policy that it is held to. */
  list(): TenantIdentity[] {
    return [...this.#engines].map(([name, { policy }]) => {
      return { name, generation: this.#places.find(name)?.generation, policy };
    });
  }

  /** What there is of tenants, and of which. */
  held(): HeldTenant[] {
    return this.#places.list().map((place) => ({ tenant: place.name, generation: generationOf(place) }));
  }

  /** The engine of a tenant, held to this policy from now on: what somebody else had under its name is gone by then. */
  async of(tenant: TenantIdentity): Promise<Engine> {
    this.#refuseGone(tenant);
    const former = this.#places.find(tenant.name);
    if (former && generationOf(former) < generationOf(tenant)) {
      await this.remove(former.name, generationOf(former));
      this.#refuseGone(tenant);
    }
    const place = await this.#places.of(tenant);
    // It may be on its way by now, and so it may be once its engine has begun.
    this.#refuseGone(tenant);
    const engine = await this.#running(place);
    this.#refuseGone(tenant);
    await engine.use(tenant.policy);
    return engine;
  }

  /**
   * Takes away everything that a tenant has here, up to this generation; whoever asks in its name meanwhile, and for a while
   * yet, is told so. Where it fails, no engine of the tenant's runs, and it can be asked for again.
   */
  async remove(name: string, generation: number): Promise<void> {
    const place = this.#places.find(name);
    if (place && generationOf(place) > generation) return;
    await this.#removals.run(name, async () => {
      this.#gone.set(name, { generation, until: Number.POSITIVE_INFINITY });
      try {
        if (place) await this.#remove(place);
      } finally {
        this.#gone.set(name, { generation, until: performance.now() + GONE });
      }
    });
  }

  /** What runs goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#engines.values()].map((engine) => engine[Symbol.asyncDispose]()));
  }

  async #remove(place: TenantPlace): Promise<void> {
    // One whose disk has no room goes as well.
    const engine = await this.#running(place).catch(() => this.#running(withoutDisk(place)));
    try {
      await engine.remove();
    } catch (error) {
      // Another one is to find the database and the folders as if this one had never been.
      await engine[Symbol.asyncDispose]();
      throw error;
    } finally {
      this.#engines.delete(place.name);
    }
    await this.#places.remove(place.name);
    this.#log.info({ tenant: place.name }, 'what a tenant had here is gone');
  }

  #running(place: TenantPlace): Promise<Engine> {
    return this.#starts.run(place.name, async () => {
      const known = this.#engines.get(place.name);
      if (known) return known;
      const engine = await this.#start(place);
      if (this.#membership) engine.follow(this.#membership);
      this.#engines.set(place.name, engine);
      return engine;
    });
  }

  #refuseGone(tenant: TenantIdentity): void {
    if (this.#isGone(tenant)) throw unavailable(`the tenant '${tenant.name}' was removed just now`);
  }

  /** Gateways may not have heard of it yet, and would have it made anew, or come to what is another's by now. */
  #isGone(tenant: TenantIdentity): boolean {
    const place = this.#places.find(tenant.name);
    if (place && generationOf(place) > generationOf(tenant)) return true;
    const gone = this.#gone.get(tenant.name);
    if (!gone || generationOf(tenant) > gone.generation) return false;
    if (performance.now() < gone.until) return true;
    this.#gone.delete(tenant.name);
    return false;
  }

  #isPlaced(tenant: TenantIdentity): boolean {
    const place = this.#places.find(tenant.name);
    return place !== undefined && generationOf(place) === generationOf(tenant) && !this.#isGone(tenant);
  }
}

function withoutDisk({ policy, ...place }: TenantPlace): TenantPlace {
  return { ...place, policy: { ...policy, worker: { ...policy.worker, disk: null } } };
}

function headerOf({ headers }: IncomingMessage): string | undefined {
  const value = headers[TENANT_HEADER];
  return Array.isArray(value) ? value.join() : value;
}

function isSame(a: TenantIdentity['policy'], b: TenantIdentity['policy']): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
