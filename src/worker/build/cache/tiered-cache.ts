import { Lease } from '../solve/lease.ts';
import type {
  CacheRecord,
  CacheStore,
  FindOptions,
  FinishedStep,
  LoadedRecord,
  SavedStep,
} from './cache-store.ts';
import type { LocalCache } from './local-cache.ts';
import type { RecordSender } from './record-sender.ts';
import type { RegistryRecord, RegistryRecords } from './registry-records.ts';

/** This machine's steps, and behind them those of all workers that share a registry. */
export class TieredCache implements CacheStore {
  readonly #local: LocalCache;
  readonly #registry: RegistryRecords;
  readonly #sender: RecordSender;

  constructor(ports: { local: LocalCache; registry: RegistryRecords; sender: RecordSender }) {
    this.#local = ports.local;
    this.#registry = ports.registry;
    this.#sender = ports.sender;
  }

  async find(keys: readonly string[], options: FindOptions): Promise<ReadonlyMap<string, CacheRecord>> {
    const near = await this.#local.find(keys);
    const missing = keys.filter((key) => !near.has(key));
    const enough = options.wanted === undefined ? missing.length === 0 : near.has(options.wanted);
    if (options.nearby || enough) return near;
    const far = await this.#registry.find(missing, options);
    return far.size === 0 ? near : new Map<string, CacheRecord>([...near, ...far]);
  }

  async load(record: CacheRecord, options: { signal: AbortSignal }): Promise<LoadedRecord | undefined> {
    if (!isFar(record)) return this.#local.load(record);
    const refs = await this.#registry.load(record, options);
    return refs && { refs, lease: new Lease(() => this.#adopt(record)) };
  }

  async save(step: FinishedStep): Promise<SavedStep> {
    const { id, lease } = await this.#local.keep(step, { unsent: true });
    // What is not here may be there.
    const settled = id === undefined ? this.#registry.save(step) : this.#sender.send(id, step);
    const hurry = () => this.#registry.hurry(step.outputs);
    return {
      retain: () => lease.retain(),
      release: () => lease.release(),
      sharing: { settled, hurry },
    };
  }

  async link(key: string, record: CacheRecord): Promise<void> {
    if (isFar(record)) this.#registry.link(key, record);
    else await this.#local.link(key, record);
  }

  /** What a build has brought here of a record is kept here, if it is all of it. */
  async #adopt({ step, outputs }: RegistryRecord): Promise<void> {
    const inputs = outputs.map(({ kind, layers }) => ({ kind, layers: layers.slice(0, -1) }));
    const lease = await this.#local.save({ ...step, inputs, outputs });
    await lease.release();
  }
}

function isFar(record: CacheRecord): record is RegistryRecord {
  return 'step' in record;
}
