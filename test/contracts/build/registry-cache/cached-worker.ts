import type { Descriptor } from '#oci/descriptor.ts';
import { parseImageReference } from '#oci/reference.ts';
import { LocalCache } from '#worker/build/cache/local-cache.ts';
import { RecordSender } from '#worker/build/cache/record-sender.ts';
import { RegistryRecords } from '#worker/build/cache/registry-records.ts';
import { TieredCache } from '#worker/build/cache/tiered-cache.ts';
import { Exporters } from '#worker/build/export/exporters.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';
import { Solver } from '#worker/build/solve/solver.ts';
import { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import { DriversWorld } from '../drivers-world.ts';
import { Recorder, session } from '../solver/solver-world.ts';

/** A worker that builds for real, and shares what it has done through a repository. */
export class CachedWorker implements AsyncDisposable {
  readonly world: DriversWorld;
  records!: RegistryRecords;
  local!: LocalCache;
  sender!: RecordSender;
  #solver!: Solver;
  readonly #trees = new TreePool();
  readonly failures: unknown[] = [];

  static async open(repository: string): Promise<CachedWorker> {
    const uploads = { reference: parseImageReference(repository) };
    const retry = { attempts: 2, delayMs: 1 };
    return new CachedWorker(await DriversWorld.open({ images: { uploads, retry } }));
  }

  private constructor(world: DriversWorld) {
    this.world = world;
    this.restart();
  }

  /** As after a start: it knows what is on the disk. */
  restart(options: { silenceMs?: number } = {}): void {
    const { images, database, drivers } = this.world;
    const local = new LocalCache({ database, layers: images.layers });
    this.local = local;
    const report = (error: unknown) => this.failures.push(error);
    this.records = new RegistryRecords(
      { uploads: images.uploads!, layerRows: images.rows.layers, report },
      options,
    );
    this.sender = new RecordSender({ records: local, registry: this.records, report }, { retryMs: 50 });
    const cache = new TieredCache({ local, registry: this.records, sender: this.sender });
    this.#solver = new Solver({ drivers: drivers.ops, cache }, { parallelism: 2 });
  }

  /** Answers how each vertex ended, and what `use` makes of the outcome. */
  async build<T>(
    edge: Edge,
    use: (ref: LayersRef) => Promise<T>,
  ): Promise<{ shown: Record<string, string>; made: T }> {
    const heard = new Recorder();
    const job = this.#solver.job({
      owner: 'test',
      session: session('test'),
      progress: heard,
      limits: this.world.limits,
      signal: new AbortController().signal,
    });
    try {
      const made = await use((await job.solve(edge)) as LayersRef);
      return { shown: heard.shown, made };
    } finally {
      await job[Symbol.asyncDispose]();
    }
  }

  /** Answers the descriptor of what was pushed. */
  async push(ref: LayersRef, name: string, attrs: Record<string, string> = {}): Promise<Descriptor> {
    const { images, drivers } = this.world;
    const exporters = new Exporters({
      images,
      local: drivers.local,
      mounts: drivers.views,
      trees: this.#trees,
    });
    const response = await exporters.of('image').export(
      { refs: new Map([['', ref]]), metadata: new Map() },
      {
        attrs: { name, push: 'true', ...attrs },
        exporterId: 0,
        session: session('test'),
        progress: new Recorder(),
        signal: new AbortController().signal,
      },
    );
    return JSON.parse(Buffer.from(response['containerimage.descriptor']!, 'base64').toString()) as Descriptor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sender[Symbol.dispose]();
    await this.records.settled();
    await this.#trees[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}
