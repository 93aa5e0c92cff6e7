import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type Koa from 'koa';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import { forbidden } from '#errors/errors.ts';
import { NO_METRICS } from '#observability/metrics.ts';
import { guardRoutes } from '#pool/http/guard-routes.ts';
import { GatewayOverlayLink } from '#pool/member/gateway-overlay-link.ts';
import type { GatewayPeers } from '#pool/member/gateway-peers.ts';
import type { GatewayStepClaims } from '#pool/member/gateway-step-claims.ts';
import type { Membership } from '#pool/member/membership.ts';
import type { TenantPlace } from '#pool/tenants/tenant-places.ts';
import { allowsRegistry, type TenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { tighter } from '#worker/build/drivers/exec/step-resources.ts';
import { LimitedFolder } from '#worker/disk/limited-folder.ts';
import { apiRoutes } from '#worker/http/api/api.ts';
import { buildOperations } from '#worker/http/api/build-operations.ts';
import { createEngineRouter, type EngineState } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import type { SharedFirewall } from '#worker/networks/firewall/shared-firewall.ts';
import { Cgroup } from '#worker/runtime/cgroup/cgroup.ts';
import { limitGroup } from '#worker/runtime/cgroup/group-limits.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { KernelMounter } from '#worker/snapshots/kernel-mounter.ts';
import { HeldPolicy } from './held-policy.ts';
import type { WorkerOverlays } from './overlay.ts';
import { createWorkerParts, type WorkerParts } from './parts.ts';
import { addWorkerRoutes } from './routes.ts';
import { tenantConfig } from './tenant-config.ts';

export interface TenantEnginePorts {
  readonly host: HostFacts;
  readonly firewall: SharedFirewall;
  readonly observed: Koa.Middleware<EngineState>;
  readonly claims: GatewayStepClaims;
  readonly peers: GatewayPeers;
  readonly overlays: WorkerOverlays;
  readonly log: Logger;
}

/**
 * The engine of one tenant on a worker: containers, images, networks, volumes, builds and caches of its own, in folders, a
 * database and a control group of its own.
 */
export class TenantEngine implements AsyncDisposable {
  readonly server: Server;
  readonly #config: Config;
  readonly #disk: LimitedFolder;
  readonly #group: string;
  readonly #link: GatewayOverlayLink;
  readonly #log: Logger;
  readonly #running = new AsyncDisposableStack();
  #parts!: WorkerParts;
  readonly #held: HeldPolicy;
  /** As last heard of. */
  #policy: TenantPolicy;

  /** Makes true again what an earlier process left of it. */
  static async start(ports: TenantEnginePorts, config: Config, place: TenantPlace): Promise<TenantEngine> {
    const router = createEngineRouter();
    const log = ports.log.child({ tenant: place.name });
    const server = createEngineServer(router, log, ports.observed);
    const engine = new TenantEngine(server, tenantConfig(config, place), place, log);
    try {
      await engine.#begin(ports, place, router);
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(server: Server, config: Config, place: TenantPlace, log: Logger) {
    this.server = server;
    this.#config = config;
    this.#policy = place.policy;
    this.#held = new HeldPolicy(place.policy, async (limits, former) => {
      await this.#limit(limits);
      if (former.disk !== limits.disk) this.#tellDisk(await this.#disk.resize(limits.disk));
    });
    this.#log = log;
    this.#disk = new LimitedFolder(config.dataDir);
    // Unique on the machine, which may have several workers.
    const key = createHash('sha256').update(config.dataDir).digest('hex').slice(0, 16);
    this.#group = `/slipway/tenants/${key}`;
    this.#link = new GatewayOverlayLink({ tenant: place.name, most: () => this.#policy.overlays });
  }

  /** What it is held to. */
  get policy(): TenantPolicy {
    return this.#held.current;
  }

  /** Holds it to this policy from now on; where that fails, whoever asks next has it tried again. */
  async use(policy: TenantPolicy): Promise<void> {
    this.#policy = policy;
    await this.#held.use(policy);
  }

  /** From now on this is the worker's place in its pool. */
  follow(membership: Membership): void {
    this.#link.use((method, path, body) => membership.ask(method, path, body));
    const doubt = () => this.#parts.networks.doubtOverlays();
    membership.on('held', doubt);
    this.#running.defer(() => void membership.off('held', doubt));
  }

  /** Everything that it has on this machine goes, and so does it; where that fails, it is to be disposed, and begun anew. */
  async remove(): Promise<void> {
    await this.#parts.containers.removal.removeAll();
    await this[Symbol.asyncDispose]();
    const mounter = new KernelMounter();
    for (const folder of [this.#config.runDir, this.#config.dataDir]) {
      for (const target of await mounter.mountsBelow(folder)) await mounter.unmount(target);
    }
    await this.#disk.remove();
    await rm(this.#config.runDir, { recursive: true, force: true });
    await new Cgroup(this.#group).remove();
  }

  /** What runs goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.disposeAsync();
    await this.#held.alone(() => this.#disk.close());
    // Its limits are for those who run in it, and are set again with the next start.
    await new Cgroup(this.#group).removeEmpty();
  }

  async #begin(
    { host, firewall, claims, peers, overlays }: TenantEnginePorts,
    { name }: TenantPlace,
    router: ReturnType<typeof createEngineRouter>,
  ): Promise<void> {
    const config = this.#config;
    const log = this.#log;
    this.#tellDisk(await this.#disk.open(this.#policy.worker.disk));
    await this.#limit(this.#policy.worker);
    this.#parts = await createWorkerParts(
      config,
      { ...host, cgroup: { ...host.cgroup, parent: this.#group } },
      {
        logger: log,
        claims,
        peers: peers.of(name),
        overlay: overlays.part(this.#link, log, name),
        tunnelPort: config.worker.overlay.port,
        metrics: NO_METRICS,
        firewall,
        allowRegistry: (domain) => this.#allowRegistry(domain),
        stepBounds: () => this.#stepBounds(),
      },
      this.#running,
    );
    guardRoutes(router, {
      policy: () => this.#policy,
      countContainers: () => this.#parts.containers.counts().containers,
    });
    await addWorkerRoutes(router, this.#parts, host, config, () => this.#disk.usage());
    apiRoutes(router, buildOperations(this.#parts.builds.catalog), log);
  }

  #allowRegistry(domain: string): void {
    if (allowsRegistry(this.#policy, domain)) return;
    throw forbidden(`your tenant's policy does not allow the registry ${domain}`);
  }

  /** A step by itself has no more than all of them together. */
  #stepBounds() {
    const { worker } = this.#policy;
    const own = tighter({ ...this.#config.worker.build.steps, unconfined: true }, this.#policy);
    return tighter(own, { memory: worker.memory, cpus: worker.cpus, pids: worker.pids, unconfined: true });
  }

  async #limit(limits: TenantPolicy['worker']): Promise<void> {
    const refused = await limitGroup(this.#group, limits);
    if (refused.length > 0) this.#log.warn({ refused }, 'a tenant has more in use than it may by now');
  }

  #tellDisk(isHeld: boolean): void {
    if (isHeld) return;
    this.#log.warn(
      'a tenant’s disk is as its policy says when the worker begins anew without its containers, and has room for it',
    );
  }
}
