import type { BlobUpload } from '#distribution/blob-upload.ts';
import type { Pusher } from '#distribution/pusher.ts';
import type { BlobFollower } from '../layer-blobs.ts';
import type { LayerBlob } from '../layer-repository.ts';

/** Somebody else waits for the blob: it is not held up for a network that lags behind by more than that. */
const PATIENCE_BYTES = 2 * 1024 * 1024;

/**
 * Brings a blob to a repository while it is compressed. Nothing of it fails: what did not get there is for the caller
 * to upload when it is whole.
 */
export class StreamedUpload implements BlobFollower {
  readonly #pusher: Pick<Pusher, 'beginBlob'>;
  readonly #signal: AbortSignal;
  readonly #report: ((bytes: number) => void) | undefined;
  readonly #arrived = Promise.withResolvers<LayerBlob>();
  #upload: Promise<BlobUpload> | undefined;
  #failed = false;
  #there = false;
  #hurried = false;

  constructor(
    { pusher, report }: { pusher: Pick<Pusher, 'beginBlob'>; report?: (bytes: number) => void },
    { signal }: { signal: AbortSignal },
  ) {
    this.#pusher = pusher;
    this.#report = report;
    this.#signal = signal;
  }

  /** Resolves as soon as the blob is in the repository; never, if it does not get there. */
  get arrived(): Promise<LayerBlob> {
    return this.#arrived.promise;
  }

  get hasArrived(): boolean {
    return this.#there;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#failed) return;
    const { length } = chunk;
    try {
      this.#upload ??= this.#pusher.beginBlob({ signal: this.#signal });
      const upload = await this.#upload;
      if (this.#hurried && upload.backlog > PATIENCE_BYTES) return this.abandon();
      await upload.write(chunk);
      this.#report?.(length);
    } catch {
      this.abandon();
    }
  }

  hurry(): void {
    this.#hurried = true;
    void this.#upload?.then(
      ({ backlog }) => backlog > PATIENCE_BYTES && this.abandon(),
      () => undefined,
    );
  }

  async finish(blob: LayerBlob): Promise<void> {
    if (this.#failed || !this.#upload) return;
    try {
      await (await this.#upload).commit(blob.digest);
      this.#there = true;
      this.#arrived.resolve(blob);
    } catch {
      this.abandon();
    }
  }

  abandon(): void {
    this.#failed = true;
    this.#upload?.then(
      (upload) => upload.abort(),
      () => undefined,
    );
  }
}
