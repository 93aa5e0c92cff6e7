import { connect as connectNet } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { unavailable } from '#errors/errors.ts';
import { TENANT_HEADER, type TenantIdentity, writeTenant } from '../tenants/tenant-header.ts';
import { serverName } from '../workers/certificates.ts';
import type { PoolWorker, WorkerLeasesRepository } from '../workers/worker-leases-repository.ts';
import type { Upstream, WorkerAgents } from './worker-agents.ts';

/** What was read of the database is good for so long, in milliseconds. */
const FRESH = 250;
/** How long a request waits for the first worker of a pool that has just begun, or whose only one comes back. */
const PATIENCE = 10_000;
/** How long one is not chosen that had no engine for who asks, in milliseconds. */
const ABSENT = 5_000;

/** What a gateway shows workers. All in PEM. */
export interface GatewayCredentials {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** A worker that has a lease, and the way to it. */
export interface LivingWorker extends PoolWorker, Upstream {}

/** The pool's workers, as a gateway reaches them for the operator or for one tenant. */
export class Workers {
  readonly #leases: WorkerLeasesRepository;
  readonly #agents: WorkerAgents;
  readonly #credentials: () => GatewayCredentials;
  readonly #tenant: () => TenantIdentity | undefined;
  readonly #absent = new Map<string, number>();
  #upstreams = new Map<string, { address: string; upstream: Upstream }>();
  #read: { at: number; workers: Promise<LivingWorker[]> } | undefined;

  constructor(ports: {
    leases: WorkerLeasesRepository;
    agents: WorkerAgents;
    credentials: () => GatewayCredentials;
    /** For whom, with the policy as it is; undefined for the operator. */
    tenant?: () => TenantIdentity | undefined;
  }) {
    this.#leases = ports.leases;
    this.#agents = ports.agents;
    this.#credentials = ports.credentials;
    this.#tenant = ports.tenant ?? (() => undefined);
  }

  /** Those with a lease, by name. */
  living(): Promise<LivingWorker[]> {
    const now = performance.now();
    if (!this.#read || now - this.#read.at > FRESH) {
      const workers = this.#load();
      this.#read = { at: now, workers };
      workers.catch(() => {
        this.#read = undefined;
      });
    }
    return this.#read.workers;
  }

  /** A worker has no engine for who asks: no room for a tenant's disk. For a while it is not among `some`. */
  leaveOut(name: string): void {
    this.#absent.set(name, performance.now() + ABSENT);
  }

  /** At least one, of which a little is waited for. Throws `unavailable`. */
  async some(): Promise<LivingWorker[]> {
    const until = performance.now() + PATIENCE;
    for (;;) {
      const workers = await this.living();
      const present = workers.filter(({ name }) => !this.#isAbsent(name));
      if (workers.length > 0) return present.length > 0 ? present : workers;
      if (performance.now() >= until) break;
      await sleep(FRESH);
    }
    throw unavailable('the pool has no worker that is alive: see slipway pool worker-list');
  }

  /** Throws `unavailable` when it is lost. */
  async named(name: string): Promise<LivingWorker> {
    const worker = (await this.living()).find((each) => each.name === name);
    if (worker) return worker;
    throw unavailable(`worker ${name}, which has it, is away`);
  }

  #isAbsent(name: string): boolean {
    const until = this.#absent.get(name);
    if (until === undefined) return false;
    if (performance.now() < until) return true;
    this.#absent.delete(name);
    return false;
  }

  async #load(): Promise<LivingWorker[]> {
    const workers = (await this.#leases.list()).filter(({ state }) => state !== 'lost');
    return workers.map((worker) => Object.assign(this.#upstreamOf(worker), worker));
  }

  /** The same one for as long as the worker is at its address: connections are kept by it. */
  #upstreamOf({ name, address }: PoolWorker): Upstream {
    const known = this.#upstreams.get(name);
    if (known?.address === address) return known.upstream;
    if (known) this.#agents.forget(known.upstream);
    const upstream = {
      name,
      headers: () => ({ [TENANT_HEADER]: writeTenant(this.#tenant()) }),
      connect: () => this.#connect(name, address),
    };
    this.#upstreams.set(name, { address, upstream });
    return upstream;
  }

  #connect(name: string, address: string): Duplex {
    if (address.startsWith('unix://')) {
      return connectNet({ path: address.slice('unix://'.length), allowHalfOpen: true });
    }
    const { hostname, port } = new URL(address);
    return connectTls({
      ...this.#credentials(),
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port),
      servername: serverName({ name, role: 'worker' }),
      minVersion: 'TLSv1.3',
      allowHalfOpen: true,
    } as ConnectionOptions);
  }
}
