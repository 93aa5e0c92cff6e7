import { SingleFlight } from '#async/single-flight.ts';
import type { ContentStore } from '#content/content-store.ts';
import { invalid } from '#errors/errors.ts';
import { type Digest, Digester, hexOf } from '#oci/digest.ts';
import { decompress } from '../snapshots/tree/decompress.ts';
import { SPOOL } from './archive/archive-spool.ts';
import { type Compression, compress, compressionOf, GZIP, layerMediaType } from './compression.ts';
import type { LayerBlob, LayerRepository } from './layer-repository.ts';
import { FULL_PACE, type Pace } from './parallel-gzip.ts';

interface CompressOptions {
  /** undefined: gzip, unless the layer is stored compressed in another way. */
  readonly compression?: Compression | undefined;
  /** Nobody waits for it: other work goes first, until somebody asks for the same without this. */
  readonly background?: boolean;
}

/** Where a blob with a known digest lives. */
export function blobLocation(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/**
 * The blobs of layers in the content store: as they were pulled, to be pushed again byte for byte, or as they
 * were compressed for a first push, so that the second one sends the same.
 */
export class LayerBlobs {
  readonly #content: ContentStore;
  readonly #layers: LayerRepository;
  readonly #compressing = new SingleFlight<LayerBlob>();
  readonly #paces = new Map<string, Pace>();

  constructor(ports: { content: ContentStore; layers: LayerRepository }) {
    this.#content = ports.content;
    this.#layers = ports.layers;
  }

  /** A stored blob's uncompressed bytes, if there is one; compressed or not. */
  async tar(diffId: Digest): Promise<AsyncIterable<Uint8Array> | undefined> {
    for (const blob of await this.#stored(diffId)) return decompress(await this.#content.open(blob.location));
    return undefined;
  }

  /**
   * What to push a layer as: a blob that is stored compressed, in whichever way unless `compression` says which, else
   * `tar` compressed now. A level asks for a way, not for that level of what is stored already.
   */
  async compressed(
    diffId: Digest,
    tar: () => AsyncIterable<Uint8Array>,
    { compression, background = false }: CompressOptions = {},
  ): Promise<LayerBlob> {
    const fits = ({ digest, mediaType }: LayerBlob) =>
      compression ? compressionOf(mediaType) === compression.type : digest !== diffId;
    const stored = (await this.#stored(diffId)).find(fits);
    if (stored) return stored;
    const { type, level } = compression ?? GZIP;
    const key = `${diffId} ${type}`;
    const pace = this.#paces.get(key) ?? { blocksAtOnce: 1 };
    if (!background) pace.blocksAtOnce = FULL_PACE.blocksAtOnce;
    this.#paces.set(key, pace);
    return this.#compressing.run(key, () =>
      this.#compress(diffId, tar(), { type, ...(level !== undefined && { level }) }, pace).finally(() =>
        this.#paces.delete(key),
      ),
    );
  }

  /** The stored blobs of a layer. */
  async list(diffId: Digest): Promise<LayerBlob[]> {
    return this.#stored(diffId);
  }

  async record(blob: LayerBlob): Promise<void> {
    await this.#layers.recordBlob(blob);
  }

  open(blob: LayerBlob): Promise<AsyncIterable<Uint8Array>> {
    return this.#content.open(blob.location);
  }

  /** Drops the blobs of a layer that is not here any more. */
  async collect(diffId: Digest): Promise<void> {
    for (const blob of await this.#layers.deleteUnusedBlobs(diffId))
      await this.#content.delete(blob.location);
  }

  /** Drops content that belongs to no layer and has not changed since `before`: left by pulls that never ended. */
  async prune(before: Date): Promise<number> {
    let bytes = 0;
    const known = await this.#layers.blobLocations();
    for (const source of [this.#content.walk(), this.#content.ingests()]) {
      for await (const { location, size, modifiedAt } of source) {
        if (known.has(location) || modifiedAt > before) continue;
        await this.#content.delete(location);
        bytes += size;
      }
    }
    return bytes;
  }

  /** Drops what loads left behind that the last process did not end. */
  async reconcile(): Promise<void> {
    const known = await this.#layers.blobLocations();
    for (const source of [this.#content.walk(SPOOL), this.#content.ingests()]) {
      for await (const { location } of source) {
        if (location.startsWith(`${SPOOL}/`) && !known.has(location)) await this.#content.delete(location);
      }
    }
  }

  async #stored(diffId: Digest): Promise<LayerBlob[]> {
    const present: LayerBlob[] = [];
    for (const blob of await this.#layers.blobsOf(diffId)) {
      if (await this.#content.stat(blob.location)) present.push(blob);
      else await this.#layers.deleteBlob(blob.digest);
    }
    return present;
  }

  async #compress(
    diffId: Digest,
    tar: AsyncIterable<Uint8Array>,
    compression: Compression,
    pace: Readonly<Pace>,
  ): Promise<LayerBlob> {
    const location = `compressed/${hexOf(diffId)}.tar.${compression.type}`;
    await this.#content.delete(location);
    await using writer = await this.#content.writer(location);
    const digester = new Digester();
    let size = 0;
    for await (const chunk of compress(verified(tar, diffId), compression, pace)) {
      digester.update(chunk);
      size += chunk.length;
      await writer.write(chunk);
    }
    await writer.commit();
    const mediaType = layerMediaType(compression.type, false);
    const blob = { digest: digester.digest(), diffId, mediaType, size, location };
    await this.#layers.recordBlob(blob);
    return blob;
  }
}

/** Passes bytes through, and fails at the end if they are not what `digest` says. */
export async function* verified(
  source: AsyncIterable<Uint8Array>,
  digest: Digest,
): AsyncGenerator<Uint8Array> {
  const digester = new Digester();
  for await (const chunk of source) {
    digester.update(chunk);
    yield chunk;
  }
  const actual = digester.digest();
  if (actual !== digest) throw invalid(`content has the digest ${actual}, not ${digest}`);
}
