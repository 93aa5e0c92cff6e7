import { giveBack } from '#async/give-back.ts';
import type { ContentStore } from '#content/content-store.ts';
import { canceled, invalid } from '#errors/errors.ts';
import { type Digest, Digester, hexOf } from '#oci/digest.ts';
import type { TarOptions } from '../snapshots/diff.ts';
import { decompress } from '../snapshots/tree/decompress.ts';
import { SPOOL } from './archive/archive-spool.ts';
import {
  type Compression,
  type CompressionType,
  compress,
  compressionOf,
  copiesInput,
  GZIP,
  layerMediaType,
} from './compression.ts';
import { FULL_PACE, type Gzip, type Pace } from './gzip/gzip.ts';
import type { LayerBlob, LayerRepository } from './layer-repository.ts';

/** What a layer is made of; see `DiffComparer.tar`. */
type TarSource = (options: TarOptions) => AsyncIterable<Uint8Array>;

export interface LayerBlobsPorts {
  readonly content: ContentStore;
  readonly layers: LayerRepository;
  readonly gzip: Gzip;
  /** Whether there is work that goes before what nobody waits for. */
  readonly isBusy?: () => boolean;
}

interface CompressOptions {
  /** undefined: gzip, unless the layer is stored compressed in another way. */
  readonly compression?: Compression | undefined;
  /** Nobody waits for it: other work goes first, until somebody asks for the same without this. */
  readonly background?: boolean;
  /** Only who begins to compress a layer is followed. */
  readonly follower?: BlobFollower;
}

/** Takes a blob while it is made. */
export interface BlobFollower {
  /** Resolves when it has room for more. The chunk's memory is its own from then on. Throws nothing. */
  write(chunk: Uint8Array): Promise<void>;
  /** After the last piece; the blob is stored when it has resolved. Throws nothing. */
  finish(blob: LayerBlob): Promise<void>;
  /** The blob does not come to be. */
  abandon(): void;
  /** Somebody waits for the blob itself by now. */
  hurry(): void;
}

/** A layer that is compressed just now. */
interface Compressing {
  readonly pace: LayerPace;
  readonly follower: BlobFollower | undefined;
  readonly stored: Promise<LayerBlob>;
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
  readonly #gzip: Gzip;
  readonly #isBusy: () => boolean;
  /** By where they will be. */
  readonly #compressing = new Map<string, Compressing>();
  #stopped = false;

  constructor(ports: LayerBlobsPorts) {
    this.#content = ports.content;
    this.#layers = ports.layers;
    this.#gzip = ports.gzip;
    this.#isBusy = ports.isBusy ?? (() => true);
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
    tar: TarSource,
    { compression, background = false, follower }: CompressOptions = {},
  ): Promise<LayerBlob> {
    const fits = ({ digest, mediaType }: LayerBlob) =>
      compression ? compressionOf(mediaType) === compression.type : digest !== diffId;
    const stored = (await this.#stored(diffId)).find(fits);
    if (stored) return stored;
    const way = compression ?? GZIP;
    const location = compressedLocation(diffId, way.type);
    const running = this.#compressing.get(location);
    if (!running) {
      const pace = new LayerPace(this.#isBusy);
      if (!background) pace.hurry();
      return this.#begin(diffId, tar, way, { pace, follower });
    }
    if (!background) {
      running.pace.hurry();
      running.follower?.hurry();
    }
    return running.stored;
  }

  /** Somebody waits for what follows the compression of a layer, if it is compressed just now. */
  hurry(diffId: Digest): void {
    this.#compressing.get(compressedLocation(diffId, GZIP.type))?.pace.hurry();
  }

  /** The stored blobs of a layer. */
  async list(diffId: Digest): Promise<LayerBlob[]> {
    return this.#stored(diffId);
  }

  async record(blob: LayerBlob): Promise<void> {
    await this.#layers.recordBlob(blob);
  }

  async open({ location }: LayerBlob): Promise<AsyncIterable<Uint8Array>> {
    await this.#compressing.get(location)?.stored;
    return this.#content.open(location);
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

  /** Gives up what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled([...this.#compressing.values()].map(({ stored }) => stored));
  }

  async #stored(diffId: Digest): Promise<LayerBlob[]> {
    const present: LayerBlob[] = [];
    for (const blob of await this.#layers.blobsOf(diffId)) {
      if (await this.#content.stat(blob.location)) present.push(blob);
      else await this.#layers.deleteBlob(blob.digest);
    }
    return present;
  }

  #begin(
    diffId: Digest,
    tar: TarSource,
    compression: Compression,
    running: Omit<Compressing, 'stored'>,
  ): Promise<LayerBlob> {
    const location = compressedLocation(diffId, compression.type);
    const stored = this.#compress(
      diffId,
      tar({ lent: copiesInput(compression) }),
      compression,
      running,
    ).finally(() => this.#compressing.delete(location));
    this.#compressing.set(location, { ...running, stored });
    return stored;
  }

  async #compress(
    diffId: Digest,
    tar: AsyncIterable<Uint8Array>,
    compression: Compression,
    { pace, follower }: Omit<Compressing, 'stored'>,
  ): Promise<LayerBlob> {
    const location = compressedLocation(diffId, compression.type);
    try {
      await this.#content.delete(location);
      // While it is sent, the disk is the registry's, which answers when it has the blob safe.
      await using writer = await this.#content.writer(location, { patient: follower !== undefined });
      try {
        const digester = new Digester();
        let size = 0;
        const ways = { gzip: this.#gzip, pace };
        for await (const chunk of compress(verified(tar, diffId), compression, ways)) {
          if (this.#stopped) throw canceled();
          digester.update(chunk);
          size += chunk.length;
          await writer.write(chunk);
          if (follower) await follower.write(chunk);
          else giveBack(chunk);
        }
        // An image of zstd that names no family is OCI's: Docker's word for it is known to few.
        const mediaType = layerMediaType(compression.type, compression.type === 'zstd');
        const blob = { digest: digester.digest(), diffId, mediaType, size, location };
        // Before this one is synced: the disk would have to write both at once.
        await follower?.finish(blob);
        await writer.commit();
        await this.#layers.recordBlob(blob);
        return blob;
      } catch (error) {
        // It is made from its beginning, should it be asked for again.
        await writer.abort();
        await this.#content.delete(location);
        throw error;
      }
    } catch (error) {
      follower?.abandon();
      throw error;
    }
  }
}

function compressedLocation(diffId: Digest, type: CompressionType): string {
  return `compressed/${hexOf(diffId)}.tar.${type}`;
}

/** As fast as it can when somebody waits, or nothing else is going on. */
class LayerPace implements Pace {
  readonly #isBusy: () => boolean;
  #hurried = false;

  constructor(isBusy: () => boolean) {
    this.#isBusy = isBusy;
  }

  get blocksAtOnce(): number {
    return this.#hurried || !this.#isBusy() ? FULL_PACE.blocksAtOnce : 1;
  }

  hurry(): void {
    this.#hurried = true;
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
