import { Semaphore } from '#async/semaphore.ts';
import { unlessGivenUp } from '#async/unless-given-up.ts';
import { canceled, isKind } from '#errors/errors.ts';
import { chainIds } from '#oci/chain-id.ts';
import { type Digest, hexOf } from '#oci/digest.ts';
import { compressionOf, layerMediaType } from '#worker/images/compression.ts';
import type { LayerRepository } from '#worker/images/layer-repository.ts';
import { isGivenUp, type LayerUploads, type UploadRepository } from '#worker/images/push/layer-uploads.ts';
import type { BlobFetcher, LayersRef, RefLayer } from '../solve/ref.ts';
import type { CacheRecord, SharedStep } from './cache-store.ts';
import {
  decodeStep,
  EMPTY_CONFIG,
  encodeStep,
  type StoredLayer,
  type StoredStep,
} from './record-manifest.ts';

interface RegistryRecordsPorts {
  /** Where layers are brought; records go to the same repository. */
  readonly uploads: LayerUploads;
  readonly layerRows: LayerRepository;
  /** Told of what keeps the registry from being a cache, when it begins to. */
  readonly report: (error: unknown) => void;
}

/** A step that some worker has done, with layers that may be nowhere but in the registry. */
export interface RegistryRecord extends CacheRecord {
  readonly step: StoredStep;
}

/** A build does not wait longer than that for a cache. */
const FIND_MS = 3_000;
const AT_ONCE = 16;
/** After a failure nobody is kept waiting for so long. */
const SILENCE_MS = 15_000;
const REFUSED_MS = 5 * 60 * 1000;
/** How long something is taken for lost, or for there. */
const REMEMBERED_MS = 60_000;
/** Steps that wait to be written; beyond it they are not. */
const MAX_WAITING = 1_000;

/**
 * Finished steps in a repository of a registry, for all workers that share it: a manifest each, tagged by its keys.
 * Written behind; nothing of it makes a build fail.
 */
export class RegistryRecords {
  readonly #ports: RegistryRecordsPorts;
  readonly #fetcher: BlobFetcher;
  readonly #slots = new Semaphore(AT_ONCE);
  readonly #lost = new Memory();
  readonly #there = new Memory();
  /** Others' work goes first. */
  readonly #turns = new Semaphore(1);
  readonly #writing = new Set<Promise<boolean>>();
  readonly #silenceMs: number;
  #silentUntil = 0;
  /** What keeps the registry from answering was told; once, until it answers again. */
  #reported = false;
  #emptyConfig: Promise<void> | undefined;

  constructor(ports: RegistryRecordsPorts, options: { silenceMs?: number } = {}) {
    this.#ports = ports;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    const { fetcher } = ports.uploads.repository;
    this.#fetcher = {
      blob: (descriptor, options) => fetcher.blob(descriptor, options),
      // The step is done again then, and its record written anew.
      failed: (layers) => {
        for (const { digest } of layers) this.#lost.add(digest);
      },
    };
  }

  /** Those that are known, as far as the registry answers in time. Throws when `signal` aborts. */
  async find(
    keys: readonly string[],
    { signal }: { signal: AbortSignal },
  ): Promise<Map<string, RegistryRecord>> {
    const found = new Map<string, RegistryRecord>();
    if (this.#silent) return found;
    const patience = AbortSignal.any([signal, AbortSignal.timeout(FIND_MS)]);
    await Promise.all(
      keys.map((key) =>
        this.#slots.run(async () => {
          const record = await this.#get(key, patience);
          if (record) found.set(key, record);
        }),
      ),
    );
    if (signal.aborted) throw canceled();
    return found;
  }

  /** Its outputs, with where each layer is to be had; undefined: layers are gone, and so is the record. */
  async load(
    { id, step, outputs }: RegistryRecord,
    { signal }: { signal: AbortSignal },
  ): Promise<readonly LayersRef[] | undefined> {
    const layers = distinct(step.outputs);
    const there = await Promise.all(
      layers.map((layer) => this.#slots.run(() => this.#isThere(layer, signal))),
    );
    if (signal.aborted) throw canceled();
    if (there.includes(false)) {
      this.#lost.add(id);
      return undefined;
    }
    const { domain, path } = this.#repository.reference;
    for (const { descriptor } of layers)
      await this.#ports.layerRows.recordOrigin(descriptor.digest, domain, path);
    return outputs;
  }

  /**
   * Later. Only steps whose outputs are all layers that are here, or that the registry has already. Answers in the end
   * whether that is settled: false when it is worth to be tried again.
   */
  async save({ keys, kind, description, outputs, createdAt }: SharedStep): Promise<boolean> {
    const refs = outputs.filter((output) => output.kind === 'layers');
    if (refs.length < outputs.length || keys.length === 0) return true;
    if (this.#silent) return false;
    return this.#behind(async () => {
      const stored = await Promise.all(refs.map((ref) => this.#stored(ref)));
      await this.#turns.run(() => this.#write({ keys, kind, description, createdAt, outputs: stored }));
    });
  }

  /** Somebody waits for steps with these outputs: their layers are brought now. */
  hurry(outputs: SharedStep['outputs']): void {
    const { uploads } = this.#ports;
    const { domain } = this.#repository.reference;
    const { signal } = new AbortController();
    for (const { layers } of outputs.filter((output) => output.kind === 'layers')) {
      const chain = chainIds(layers.map(({ diffId }) => diffId));
      for (const [at, { diffId, remote }] of layers.entries()) {
        if (remote?.fetcher === this.#fetcher) continue;
        uploads.now({ diffId, chainId: chain[at]! }, domain, signal).catch(() => undefined);
      }
    }
  }

  /**
   * Brings a ref's layers now, and answers where each is; those that are there already are not looked at. Throws `not-found`
   * for what is neither here nor there, and what keeps it from getting there.
   */
  async bring(ref: LayersRef, signal: AbortSignal): Promise<StoredLayer[]> {
    const chain = chainIds(ref.layers.map(({ diffId }) => diffId));
    const bringing = ref.layers.map(async (layer, at) => {
      const there = await this.#mounted(layer, signal);
      if (there) return there;
      const stored = this.#storedLayer(layer, chain[at]!);
      const { domain } = this.#repository.reference;
      this.#ports.uploads
        .now({ diffId: layer.diffId, chainId: chain[at]! }, domain, signal)
        .catch(() => undefined);
      return await stored;
    });
    const brought = await unlessGivenUp(Promise.all(bringing), { signal });
    if (!brought) throw canceled();
    return brought;
  }

  /** Layers that are there, as somebody else has said. */
  ref(output: readonly StoredLayer[]): LayersRef {
    const fetcher = this.#fetcher;
    const layers = output.map(({ descriptor, diffId, createdAt }) => ({
      diffId,
      remote: { descriptor, fetcher },
      ...(createdAt && { createdAt }),
    }));
    return { kind: 'layers', layers };
  }

  /** Finds a record by one more key. */
  link(key: string, { step }: RegistryRecord): void {
    if (step.keys.includes(key)) return;
    void this.#behind(() => this.#turns.run(() => this.#write({ ...step, keys: [...step.keys, key] })));
  }

  /** Resolves when what was saved so far is written, or was given up. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }

  get #repository(): UploadRepository {
    return this.#ports.uploads.repository;
  }

  get #silent(): boolean {
    return Date.now() < this.#silentUntil;
  }

  async #get(key: string, signal: AbortSignal): Promise<RegistryRecord | undefined> {
    if (this.#silent || signal.aborted) return undefined;
    try {
      const { mediaType, payload, digest } = await this.#repository.fetcher.manifest(tagOf(key), {
        signal,
        attempts: 1,
      });
      this.#reported = false;
      const step = decodeStep(mediaType, payload);
      // Whoever put it there, it has to be of this key.
      if (!step.keys.includes(key) || this.#lost.has(digest)) return undefined;
      if (distinct(step.outputs).some(({ descriptor }) => this.#lost.has(descriptor.digest)))
        return undefined;
      return { id: digest, step, outputs: step.outputs.map((output) => this.ref(output)) };
    } catch (error) {
      this.#failed(error, signal);
      return undefined;
    }
  }

  async #isThere({ descriptor: { digest } }: StoredLayer, signal: AbortSignal): Promise<boolean> {
    if (this.#there.has(digest)) return true;
    try {
      if (!(await this.#repository.pusher.hasBlob(digest, { signal }))) return false;
      this.#there.add(digest);
      return true;
    } catch (error) {
      this.#failed(error, signal);
      return false;
    }
  }

  async #stored({ layers }: LayersRef): Promise<StoredLayer[]> {
    const chain = chainIds(layers.map(({ diffId }) => diffId));
    return Promise.all(layers.map((layer, at) => this.#storedLayer(layer, chain[at]!)));
  }

  /** A layer that need not be here for that: the registry has it, in this repository or another one. */
  async #mounted(layer: RefLayer, signal: AbortSignal): Promise<StoredLayer | undefined> {
    const { diffId, createdAt, remote } = layer;
    if (!remote || remote.fetcher === this.#fetcher) return undefined;
    const { mediaType, digest, size } = remote.descriptor;
    if (!(await this.#ports.uploads.has(digest, signal))) return undefined;
    const oci = layerMediaType(compressionOf(mediaType), true);
    return { descriptor: { mediaType: oci, digest, size }, diffId, ...(createdAt && { createdAt }) };
  }

  async #storedLayer({ diffId, createdAt, remote }: RefLayer, chainId: Digest): Promise<StoredLayer> {
    if (remote?.fetcher === this.#fetcher && !this.#lost.has(remote.descriptor.digest)) {
      return { descriptor: remote.descriptor, diffId, ...(createdAt && { createdAt }) };
    }
    const { mediaType, digest, size } = await this.#ports.uploads.upload({ diffId, chainId });
    const oci = layerMediaType(compressionOf(mediaType), true);
    return { descriptor: { mediaType: oci, digest, size }, diffId, ...(createdAt && { createdAt }) };
  }

  async #write(step: StoredStep): Promise<void> {
    this.#emptyConfig ??= this.#putEmptyConfig();
    await this.#emptyConfig.catch((error: unknown) => {
      this.#emptyConfig = undefined;
      throw error;
    });
    const manifest = encodeStep(step);
    try {
      for (const key of step.keys) await this.#repository.pusher.putManifest(tagOf(key), manifest);
    } catch (error) {
      // Something that it stands on may have gone: the next step's write brings it anew.
      this.#emptyConfig = undefined;
      for (const { diffId } of distinct(step.outputs)) this.#ports.uploads.forget(diffId);
      throw error;
    }
  }

  async #putEmptyConfig(): Promise<void> {
    const { descriptor, payload } = EMPTY_CONFIG;
    if (await this.#repository.pusher.hasBlob(descriptor.digest)) return;
    await this.#repository.pusher.putBlob(descriptor, async function* () {
      yield payload;
    });
  }

  async #behind(task: () => Promise<void>): Promise<boolean> {
    if (this.#writing.size >= MAX_WAITING) return false;
    const writing = task().then(
      () => true,
      (error: unknown) => {
        this.#failed(error);
        // The layers are gone, or are no such thing as the registry takes.
        return isKind(error, 'not-found') || isKind(error, 'invalid');
      },
    );
    this.#writing.add(writing);
    return writing.finally(() => this.#writing.delete(writing));
  }

  #failed(error: unknown, signal?: AbortSignal): void {
    if (isKind(error, 'not-found')) this.#reported = false;
    if (isGivenUp(error)) {
      // Not the build has ended, but patience.
      if (signal?.aborted && signal.reason?.name === 'TimeoutError')
        this.#silentUntil = Date.now() + this.#silenceMs;
      return;
    }
    const refused = isKind(error, 'unauthorized') || isKind(error, 'forbidden');
    // A record that is none says nothing of the registry.
    if (isKind(error, 'invalid')) return;
    this.#silentUntil = Date.now() + (refused ? REFUSED_MS : this.#silenceMs);
    if (!this.#reported) this.#ports.report(error);
    this.#reported = true;
  }
}

/** Digests, for a while. */
class Memory {
  readonly #until = new Map<string, number>();

  has(digest: string): boolean {
    return (this.#until.get(digest) ?? 0) > Date.now();
  }

  add(digest: string): void {
    const now = Date.now();
    for (const [known, until] of this.#until) {
      if (until > now) break;
      this.#until.delete(known);
    }
    this.#until.delete(digest);
    this.#until.set(digest, now + REMEMBERED_MS);
  }
}

function distinct(outputs: StoredStep['outputs']): StoredLayer[] {
  return [...new Map(outputs.flat().map((layer) => [layer.diffId, layer])).values()];
}

/** Keys are digests. */
function tagOf(key: string): string {
  return hexOf(key as Digest);
}
