import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { KeyedLock } from '#async/keyed-lock.ts';
import { isKind, messageOf, SlipwayError } from '#errors/errors.ts';
import type { WorkerClient } from '../gateway/worker-client.ts';
import type { LivingWorker, Workers } from '../gateway/workers.ts';
import type { PortClaimsRepository, PortHolder, PublicPort } from './port-claims-repository.ts';
import { relayPort } from './port-relay.ts';

const PATIENCE = 10_000;
const RETRY = 100;

export interface PublishedPortsPorts {
  readonly workers: Workers;
  readonly client: WorkerClient;
  readonly claims: PortClaimsRepository;
  /** Whose containers these are; '': the operator's. */
  readonly tenant: string;
  /** Which ports may be gateways'; others are their worker's alone. */
  readonly allows: (port: number) => boolean;
  /** The workers as another tenant sees them, to look whether what it has runs. */
  readonly workersOf: (tenant: string) => Promise<Workers | undefined>;
  /** Where published ports of a worker are reached. */
  readonly addressOf: (worker: string) => Promise<string | undefined>;
  readonly log: Logger;
}

interface Open {
  readonly worker: string;
  readonly relay: AsyncDisposable;
}

/**
 * The ports that containers publish on their workers, at this gateway: each is listened at for as long as a container that
 * runs has it. What a gateway listens at follows from what workers have, so any number of them may do it, and one that
 * begins anew goes on.
 */
export class PublishedPorts implements AsyncDisposable {
  readonly #ports: PublishedPortsPorts;
  readonly #lock = new KeyedLock<'ports'>();
  readonly #open = new Map<string, Open>();
  readonly #addresses = new Map<string, string | undefined>();
  #isClosed = false;

  constructor(ports: PublishedPortsPorts) {
    this.#ports = ports;
  }

  /** What runs on a worker may have changed. */
  changed(worker: string): void {
    void this.#lookAgain(worker);
  }

  /** Which ports may be gateways' may be others by now: those that may not are closed at once. */
  permitted(): void {
    void this.#permitted().catch((error) =>
      this.#ports.log.warn({ err: error }, 'published ports are not known'),
    );
  }

  /**
   * Has a container started by `start`, which answers whether it was: it has its ports of this gateway then, in the whole
   * pool. Throws `conflict` in the engine's words when another one that runs has one of them, or this machine.
   */
  async start(worker: LivingWorker, reference: string, start: () => Promise<boolean>): Promise<void> {
    const path = `/containers/${encodeURIComponent(reference)}/json`;
    const { status, body } = await this.#ports.client.ask(worker, { path });
    const { PortBindings, PublishAllPorts } = (body?.HostConfig ?? {}) as HostConfig;
    const publishes = PublishAllPorts || Object.keys(PortBindings ?? {}).length > 0;
    if (status !== 200 || body.State?.Running || !publishes) return void (await start());
    await this.#claim(worker, body);
    let didStart = false;
    try {
      didStart = await start();
    } finally {
      const { claims } = this.#ports;
      await (didStart ? claims.started(body.Id) : claims.release(body.Id));
      // Whoever started it may use its ports at once.
      await this.#lookAgain(worker.name);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#lock.run('ports', async () => {
      await Promise.all([...this.#open.values()].map(({ relay }) => relay[Symbol.asyncDispose]()));
      this.#open.clear();
    });
  }

  async #claim(
    worker: LivingWorker,
    body: { Id: string; Name: string; HostConfig: HostConfig },
  ): Promise<void> {
    const id = body.Id;
    for (const port of fixedPorts(body.HostConfig.PortBindings)) {
      if (!this.#ports.allows(port.port)) continue;
      try {
        const former = await this.#claimOne(port, { container: id, worker: worker.name });
        await this.#listenAfter(port, worker.name, former);
      } catch (error) {
        await this.#ports.claims.release(id);
        this.changed(worker.name);
        if (!(error instanceof SlipwayError)) throw error;
        const name = body.Name.replace(/^\//, '');
        throw new SlipwayError(
          error.kind,
          `driver failed programming external connectivity on endpoint ${name}: ${error.message}`,
          { cause: error },
        );
      }
    }
  }

  /** Answers who had it before. */
  async #claimOne(
    port: PublicPort,
    { container, worker }: { container: string; worker: string },
  ): Promise<PortHolder | undefined> {
    const { tenant } = this.#ports;
    const asker = { container, worker, tenant };
    let former: PortHolder | undefined;
    for (;;) {
      const holder = await this.#ports.claims.claim(port, asker, former);
      if (!holder) return former;
      const isOwn = holder.tenant === tenant;
      if (holder.isStarting || (await this.#runs(holder))) throw taken(port, isOwn ? holder : undefined);
      if (former?.container === holder.container) throw taken(port, isOwn ? holder : undefined);
      former = holder;
    }
  }

  /** One whose worker is away may well run. */
  async #runs({ worker, container, tenant }: PortHolder): Promise<boolean> {
    try {
      const { workers, workersOf } = this.#ports;
      const own = tenant === this.#ports.tenant ? workers : await workersOf(tenant);
      if (!own) return false;
      const living = await own.named(worker);
      const { status, body } = await this.#ports.client.ask(living, {
        path: `/containers/${container}/json`,
        patience: PATIENCE,
      });
      return status === 200 && body.State?.Running === true;
    } catch {
      return true;
    }
  }

  /** Another tenant's, of a container that ended just now, may still be listened at. */
  async #listenAfter(port: PublicPort, worker: string, former: PortHolder | undefined): Promise<void> {
    const patience = former && former.tenant !== this.#ports.tenant ? PATIENCE : 0;
    for (const began = performance.now(); ; ) {
      try {
        await this.#lock.run('ports', () => this.#listen(port, worker));
        return;
      } catch (error) {
        if (!isKind(error, 'conflict') || performance.now() - began >= patience) throw error;
        await sleep(RETRY);
      }
    }
  }

  async #permitted(): Promise<void> {
    await this.#lock.run('ports', async () => {
      for (const [key, { relay }] of this.#open) {
        if (this.#ports.allows(Number.parseInt(key, 10))) continue;
        this.#open.delete(key);
        await relay[Symbol.asyncDispose]();
      }
    });
    for (const { name } of await this.#ports.workers.living()) this.changed(name);
  }

  async #lookAgain(worker: string): Promise<void> {
    await this.#lock
      .run('ports', () => this.#follow(worker))
      .catch((error) => this.#ports.log.warn({ err: error, worker }, 'published ports are not known'));
  }

  async #follow(name: string): Promise<void> {
    const worker = (await this.#ports.workers.living()).find((each) => each.name === name);
    const wanted = worker ? await this.#portsOf(worker) : new Map<string, PublicPort>();
    this.#addresses.set(name, worker && (await this.#ports.addressOf(name)));
    for (const [key, open] of this.#open) {
      if (open.worker !== name || wanted.has(key)) continue;
      this.#open.delete(key);
      await open.relay[Symbol.asyncDispose]();
    }
    for (const port of wanted.values()) {
      await this.#listen(port, name).catch((error) =>
        this.#ports.log.warn({ worker: name, port: keyOf(port) }, messageOf(error)),
      );
    }
  }

  async #listen(port: PublicPort, worker: string): Promise<void> {
    const known = this.#open.get(keyOf(port));
    if (known?.worker === worker || this.#isClosed) return;
    if (known) {
      // The one before has ended: who claimed the port last has it.
      this.#open.delete(keyOf(port));
      await known.relay[Symbol.asyncDispose]();
    }
    if (!this.#addresses.has(worker)) this.#addresses.set(worker, await this.#ports.addressOf(worker));
    const relay = await relayPort(port, () => this.#addresses.get(worker));
    this.#open.set(keyOf(port), { worker, relay });
  }

  /** Of containers that run, as they are published to everybody. */
  async #portsOf(worker: LivingWorker): Promise<Map<string, PublicPort>> {
    const { status, body } = await this.#ports.client.ask(worker, {
      path: '/containers/json',
      patience: PATIENCE,
    });
    const rows = status === 200 ? (body as { Ports?: Row[] }[]) : [];
    const ports = rows
      .flatMap(({ Ports }) => Ports ?? [])
      .filter(({ IP, PublicPort, Type }) => PublicPort && isAnywhere(IP) && isRelayed(Type))
      .filter(({ PublicPort }) => this.#ports.allows(PublicPort!))
      .map(({ PublicPort, Type }) => ({ protocol: Type as PublicPort['protocol'], port: PublicPort! }));
    return new Map(ports.map((port) => [keyOf(port), port]));
  }
}

type Bindings = Readonly<Record<string, readonly { HostIp?: string; HostPort?: string }[] | null>>;

interface HostConfig {
  readonly PortBindings?: Bindings | null;
  readonly PublishAllPorts?: boolean;
}

interface Row {
  readonly IP?: string;
  readonly PublicPort?: number;
  readonly Type: string;
}

/** Those that are asked for by number; which one of others a container gets, its worker says. */
function fixedPorts(bindings: Bindings | null | undefined): PublicPort[] {
  return Object.entries(bindings ?? {}).flatMap(([inner, hosts]) => {
    const protocol = inner.split('/')[1] ?? 'tcp';
    return (hosts ?? [])
      .filter(({ HostIp, HostPort }) => isAnywhere(HostIp) && /^[1-9]\d*$/.test(HostPort ?? ''))
      .filter(() => isRelayed(protocol))
      .map(({ HostPort }) => ({ protocol: protocol as PublicPort['protocol'], port: Number(HostPort) }));
  });
}

const isAnywhere = (ip: string | undefined) => ['', '0.0.0.0', '::'].includes(ip ?? '');
const isRelayed = (protocol: string) => protocol === 'tcp' || protocol === 'udp';
const keyOf = ({ protocol, port }: PublicPort) => `${port}/${protocol}`;

/** What other tenants have is not told. */
function taken({ port }: PublicPort, holder: PortHolder | undefined): SlipwayError {
  const whose = holder ? ` (container ${holder.container.slice(0, 12)} on worker ${holder.worker})` : '';
  return new SlipwayError('conflict', `Bind for 0.0.0.0:${port} failed: port is already allocated${whose}`);
}
