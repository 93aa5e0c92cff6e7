import { conflict } from '#errors/errors.ts';
import { POOL_ITSELF } from '../overlay/overlay-networks-repository.ts';
import { place, type Strategy, type Wish } from '../scheduler/place.ts';
import type { ContainerNeeds } from './container-needs.ts';
import type { PlacementsRepository } from './placements-repository.ts';
import type { PoolContents } from './pool-contents.ts';
import type { PoolImage, PoolImages } from './pool-images.ts';
import type { PlacementReason, PoolMetrics } from './pool-metrics.ts';
import type { PoolObjects } from './pool-objects.ts';
import type { WorkerClient } from './worker-client.ts';
import type { LivingWorker, Workers } from './workers.ts';

interface Ports {
  readonly workers: Workers;
  readonly placements: PlacementsRepository;
  readonly objects: PoolObjects;
  readonly images: PoolImages;
  readonly contents: PoolContents;
  readonly client: WorkerClient;
  readonly metrics: Pick<PoolMetrics, 'placed'>;
}

type Pin = { worker: string; because: string };

/** Chooses the worker for what is to be made. */
export class Placer {
  readonly #ports: Ports;
  readonly #strategy: Strategy;

  constructor(ports: Ports, { strategy }: { strategy: Strategy }) {
    this.#ports = ports;
    this.#strategy = strategy;
  }

  /**
   * The worker for a container, which has the image then, if any worker had it. Throws `conflict` when what it needs is on
   * several workers, `unavailable` when no worker will do.
   */
  async forContainer(needs: ContainerNeeds, platform: string | undefined): Promise<LivingWorker> {
    const image = needs.image === '' ? undefined : await this.#ports.images.find(needs.image);
    const pinned = await this.#pinsOf(needs);
    const wish = { pinned, constraints: needs.constraints, platform };
    const worker = await this.#place(wish, image);
    if (image && !image.workers.some(({ name }) => name === worker.name)) {
      await this.#ports.images.copy(needs.image, image, worker);
    }
    return worker;
  }

  /** The worker for a network or a volume, or an image that is pulled. */
  async forObject({
    project,
    network = false,
  }: {
    project?: string | undefined;
    network?: boolean;
  }): Promise<LivingWorker> {
    const { placements, workers } = this.#ports;
    const near =
      (project !== undefined ? await placements.workerOfProject(project) : undefined) ??
      (network && project === undefined ? await placements.workerOfUnusedNetwork() : undefined);
    const found = near === undefined ? undefined : (await workers.living()).find(({ name }) => name === near);
    return found?.state === 'ready' ? found : await this.#place({}, undefined);
  }

  /** Where the image is already, or where there is the least to do. */
  async forImage(reference: string, platform: string | undefined): Promise<LivingWorker> {
    const image = reference === '' ? undefined : await this.#ports.images.find(reference);
    return await this.#place({ platform }, image);
  }

  async #place(wish: Wish, image: PoolImage | undefined): Promise<LivingWorker> {
    const [workers, loads] = await Promise.all([this.#ports.workers.some(), this.#ports.placements.loads()]);
    const candidates = workers.map((worker) => ({
      name: worker.name,
      state: worker.state === 'draining' ? ('draining' as const) : ('ready' as const),
      platforms: worker.offer.platforms,
      emulates: worker.offer.emulates,
      labels: worker.offer.labels,
      cpus: worker.offer.cpus,
      load: loads.get(worker.name) ?? 0,
      image: this.#shareOf(image, worker.name),
    }));
    try {
      const { name, image: share } = place(candidates, wish, this.#strategy);
      this.#ports.metrics.placed(reasonOf(wish, share));
      return workers.find((worker) => worker.name === name)!;
    } catch (error) {
      this.#ports.metrics.placed('refused');
      throw error;
    }
  }

  /** Which part of an image a worker has. */
  #shareOf(image: PoolImage | undefined, worker: string): number {
    if (!image) return 0;
    return image.workers.some(({ name }) => name === worker)
      ? 1
      : this.#ports.contents.share(worker, image.id);
  }

  /** Where it has to be. A volume that nothing used yet goes where the rest is. */
  async #pinsOf({ containers, networks, volumes, project }: ContainerNeeds): Promise<Pin[]> {
    const { objects, placements } = this.#ports;
    const pins: Pin[] = [];
    // An overlay network reaches over all workers, and so may the project that has it.
    let spans = false;
    for (const reference of containers) {
      const found = await objects.find('container', reference);
      if (found) pins.push({ worker: found.worker, because: `container ${reference}` });
    }
    for (const reference of networks) {
      const found = await objects.find('network', reference);
      if (found?.worker === POOL_ITSELF) spans = true;
      else if (found) pins.push({ worker: found.worker, because: `network ${reference}` });
    }
    for (const name of volumes) {
      const found = await objects.find('volume', name);
      if (!found) continue;
      const wanted = pins[0]?.worker;
      if (wanted !== undefined && found.worker !== wanted && (await this.#move(name, found.worker, wanted)))
        continue;
      pins.push({ worker: found.worker, because: `volume ${name}` });
    }
    if (pins.length > 0 || project === undefined || spans) return pins;
    const worker = await placements.workerOfProject(project);
    const isAlive = (await this.#ports.workers.living()).some(
      ({ name, state }) => name === worker && state === 'ready',
    );
    return worker !== undefined && isAlive ? [{ worker, because: `project ${project}` }] : [];
  }

  /** Makes a volume anew on another worker; false when it may have something in it. */
  async #move(name: string, from: string, to: string): Promise<boolean> {
    const { placements, workers, client } = this.#ports;
    const [known] = await placements.find('volume', name);
    if (!known || known.isUsed) return false;
    const [old, next] = [await workers.named(from), await workers.named(to)];
    const path = `/volumes/${encodeURIComponent(name)}`;
    const { status, body } = await client.ask(old, { path });
    if (status !== 200) return false;
    const { Driver, Labels, Options } = body as { Driver: string; Labels: unknown; Options: unknown };
    const made = await client.ask(next, {
      method: 'POST',
      path: '/volumes/create',
      body: { Name: name, Driver, Labels, DriverOpts: Options },
    });
    if (made.status !== 201)
      throw conflict(`volume ${name} could not be made on worker ${to}: ${made.body?.message}`);
    await client.ask(old, { method: 'DELETE', path });
    await placements.forget('volume', name);
    await placements.adopt({ kind: 'volume', name, id: name, worker: to });
    return true;
  }
}

function reasonOf({ pinned = [] }: Wish, share: number): PlacementReason {
  if (pinned.length > 0) return 'pinned';
  return share === 1 ? 'image' : share > 0 ? 'layers' : 'room';
}
