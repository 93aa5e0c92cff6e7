import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Semaphore } from '#async/semaphore.ts';
import { SingleFlight } from '#async/single-flight.ts';
import { isKind, notFound, SlipwayError, unavailable } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Blob, Blobs } from '../blobs/blobs.ts';
import type { BlobsRepository } from '../blobs/blobs-repository.ts';
import { SYSTEM } from '../events/event.ts';
import type { Uploads } from '../uploads/uploads.ts';
import { Absences } from './absences.ts';
import { BlobDownload, cutShort } from './blob-download.ts';
import type { MirrorRepository } from './mirror-repository.ts';
import type { CountResult } from './mirror-requests.ts';
import type { Mirrored, MirrorRules } from './mirror-rules.ts';
import type { UpstreamBlob } from './upstream.ts';

const REMEMBERED = 10_000;
/** How many repositories with a blob are looked at for one that it can be taken over from. */
const MOUNT_SOURCES = 100;
/** So often in a row a download may break off without a byte having come. */
const ATTEMPTS = 4;
const FIRST_PAUSE = 250;

interface Wanted extends Mirrored {
  readonly repository: RepositoryName;
  readonly signal: AbortSignal;
}

/** A download under way; undefined when the blob came to be here otherwise. */
type Flight = BlobDownload | undefined;

/**
 * Fetches blobs of mirrored repositories when somebody wants them. A blob is downloaded once, however many clients
 * wait for it; they get it while it is stored. A download that breaks off goes on where it was, at the next upstream.
 */
export class BlobMirror {
  readonly #blobs: Blobs;
  readonly #stored: BlobsRepository;
  readonly #uploads: Uploads;
  readonly #mirrored: MirrorRepository;
  readonly #rules: MirrorRules;
  readonly #logger: Logger;
  readonly #count: CountResult;
  readonly #absences: Absences;
  readonly #slots: Semaphore;
  readonly #starting = new SingleFlight<Flight>();
  readonly #downloads = new Map<string, BlobDownload>();

  constructor(
    ports: {
      blobs: Blobs;
      stored: BlobsRepository;
      uploads: Uploads;
      mirrored: MirrorRepository;
      rules: MirrorRules;
      logger: Logger;
      count: CountResult;
    },
    options: { absence: number; downloads: number },
  ) {
    this.#blobs = ports.blobs;
    this.#stored = ports.stored;
    this.#uploads = ports.uploads;
    this.#mirrored = ports.mirrored;
    this.#rules = ports.rules;
    this.#logger = ports.logger;
    this.#count = ports.count;
    this.#absences = new Absences({ life: options.absence, limit: REMEMBERED });
    this.#slots = new Semaphore(options.downloads);
  }

  /**
   * The blob, here or on its way. `head`: nothing but its size is wanted. Throws `not-found` (`BLOB_UNKNOWN`),
   * `unavailable`, `too-many`.
   */
  async get(wanted: Wanted, digest: Digest, { head }: { head: boolean }): Promise<Blob> {
    const { repository } = wanted;
    const here = await this.#here(repository, digest);
    if (here) {
      this.#count('hit');
      return here;
    }
    const key = `${repository} ${digest}`;
    if (this.#absences.has(key)) {
      this.#count('absent');
      throw unknown(digest);
    }
    this.#count('miss');
    try {
      if (head && !this.#downloads.has(key)) {
        const size = await this.#size(wanted, digest);
        if (size !== undefined) return { size, open: () => Promise.reject(unknown(digest)), link: nowhere };
      }
      const download =
        this.#downloads.get(key) ?? (await this.#starting.run(key, () => this.#start(wanted, digest, key)));
      if (!download) return await this.#blobs.get(repository, digest);
      const open = async (range = { start: 0, end: download.size - 1 }) => download.read(range);
      return { size: download.size, open, link: nowhere };
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
      this.#absences.add(key);
      throw unknown(digest);
    }
  }

  async #here(repository: RepositoryName, digest: Digest): Promise<Blob | undefined> {
    return await this.#blobs.get(repository, digest).catch((error: unknown) => {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    });
  }

  async #size({ upstreamName, upstreams, signal }: Wanted, digest: Digest): Promise<number | undefined> {
    return await upstreams.ask((it, options) => it.blobSize(upstreamName, digest, options), { signal });
  }

  /** Resolves when it is clear how large the blob is. */
  async #start(wanted: Wanted, digest: Digest, key: string): Promise<Flight> {
    const { repository } = wanted;
    if (await this.#here(repository, digest)) return undefined;
    if (await this.#takeOver(repository, digest)) return undefined;
    const begun = Promise.withResolvers<Flight>();
    this.#slots
      .run(() => this.#download(wanted, digest, key, begun.resolve))
      .then(() => begun.resolve(undefined), begun.reject);
    return await begun.promise;
  }

  /**
   * Shows the repository a blob that another mirrored one has. What the upstream's own manifest names is the upstream's
   * to give; and nothing that was pushed here comes to light.
   */
  async #takeOver(repository: RepositoryName, digest: Digest): Promise<boolean> {
    if (!(await this.#mirrored.namesBlob(repository, digest))) return false;
    const sources = (await this.#stored.seenBy(digest, { limit: MOUNT_SOURCES })) as RepositoryName[];
    const from = sources.find((name) => this.#rules.find(name)?.pure);
    if (from === undefined) return false;
    return await this.#stored.mount({ repository, digest, from }, SYSTEM);
  }

  async #download(
    wanted: Wanted,
    digest: Digest,
    key: string,
    begun: (download: BlobDownload) => void,
  ): Promise<void> {
    const { repository } = wanted;
    const first = await this.#ask(wanted, digest, 0);
    const download =
      first.size === undefined
        ? undefined
        : new BlobDownload(first.size, async (range) =>
            (await this.#blobs.get(repository, digest)).open(range),
          );
    if (download) {
      this.#downloads.set(key, download);
      begun(download);
    }
    try {
      const chunks = this.#chunks(wanted, digest, first);
      await this.#uploads.put(repository, digest, download?.tee(chunks) ?? chunks, SYSTEM);
      download?.end();
    } catch (cause) {
      // A wrong digest is upstream's mistake, not the client's.
      const error = isKind(cause, 'invalid') ? unavailable('upstream sent other content', { cause }) : cause;
      download?.fail(error);
      this.#logger.warn({ err: error, repository, digest }, 'a blob could not be fetched');
      throw error;
    } finally {
      this.#downloads.delete(key);
    }
  }

  /** All bytes, over as many connections as that takes. */
  async *#chunks(wanted: Wanted, digest: Digest, first: UpstreamBlob): AsyncGenerator<Uint8Array> {
    const { size } = first;
    let offset = 0;
    let source = first;
    for (let failures = 0; ; ) {
      try {
        for await (const chunk of source.body) {
          if (chunk.length === 0) continue;
          offset += chunk.length;
          if (size !== undefined && offset > size)
            throw new SlipwayError('invalid', 'upstream sent too much');
          failures = 0;
          yield chunk;
        }
        if (size === undefined || offset === size) return;
        throw cutShort(offset, size);
      } catch (error) {
        if (!isKind(error, 'unavailable') || size === undefined || ++failures >= ATTEMPTS) throw error;
        await sleep(FIRST_PAUSE * 2 ** failures, undefined, { signal: wanted.signal });
        source = await this.#ask(wanted, digest, offset);
      }
    }
  }

  async #ask(
    { upstreamName, upstreams, signal }: Wanted,
    digest: Digest,
    offset: number,
  ): Promise<UpstreamBlob> {
    return await upstreams.ask((it, options) => it.blob(upstreamName, digest, { ...options, offset }), {
      signal,
    });
  }
}

async function nowhere(): Promise<undefined> {
  return undefined;
}

function unknown(digest: Digest) {
  return notFound('blob unknown to registry', { code: 'BLOB_UNKNOWN', detail: { digest } });
}
