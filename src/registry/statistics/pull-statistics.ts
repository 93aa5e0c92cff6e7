import type { Logger } from 'pino';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { Pull, PullCount, PullObserver } from './pull.ts';
import type { PullsRepository } from './pulls-repository.ts';

/** So many different tags and manifests are counted between two writes; pulls of further ones are not counted. */
const MAX_COUNTS = 20_000;
/** So many lookups are remembered, and for so many milliseconds, to tell which tag a pull by digest was for. */
const MAX_LOOKUPS = 5_000;
const LOOKUP_LIFE = 60_000;

type Count = { -readonly [K in keyof PullCount]: PullCount[K] } & { readonly repository: RepositoryName };

/**
 * Counts pulls in memory and writes the sums now and then: a pull costs no write. What was counted since the last
 * write is lost with the process.
 *
 * Docker and containerd look a tag up with HEAD and fetch by digest. So a lookup keeps its tag from being unused, and
 * the fetch that follows from the same client counts for that tag.
 */
export class PullStatistics implements PullObserver {
  readonly #pulls: PullsRepository;
  readonly #logger: Logger;
  #counts = new Map<string, Count>();
  readonly #lookups = new Map<string, { tag: Tag; at: number }>();
  #flushing: Promise<void> = Promise.resolve();

  constructor(ports: { pulls: PullsRepository; logger: Logger }) {
    this.#pulls = ports.pulls;
    this.#logger = ports.logger;
  }

  pulled(pull: Pull): void {
    const { repository, digest } = pull;
    const now = Date.now();
    if (pull.lookup) {
      if (pull.tag === undefined) return;
      this.#remember(pull, pull.tag, now);
      this.#count(repository, 'tag', pull.tag, 0, now);
      this.#count(repository, 'manifest', digest, 0, now);
      return;
    }
    const tag = pull.tag ?? this.#lookedUp(pull, now);
    if (tag !== undefined) this.#count(repository, 'tag', tag, 1, now);
    this.#count(repository, 'manifest', digest, 1, now);
  }

  /** Writes what was counted so far. One write runs at a time; what could not be written is counted on. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#write());
    return this.#flushing;
  }

  /** Writes every `interval` milliseconds until the signal aborts, and then once more. */
  async run(interval: number, signal: AbortSignal): Promise<void> {
    const timer = setInterval(() => void this.flush(), interval);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    clearInterval(timer);
    await this.flush();
  }

  async #write(): Promise<void> {
    if (this.#counts.size === 0) return;
    const counts = this.#counts;
    this.#counts = new Map();
    try {
      await this.#pulls.add([...counts.values()]);
    } catch (error) {
      this.#logger.warn({ err: error }, 'writing pull statistics failed');
      for (const it of counts.values()) {
        this.#count(it.repository, it.kind, it.reference, it.pulls, it.lastPulledAt);
      }
    }
  }

  #count(
    repository: RepositoryName,
    kind: PullCount['kind'],
    reference: string,
    pulls: number,
    at: number,
  ): void {
    const key = `${repository} ${reference}`;
    const count = this.#counts.get(key);
    if (count) {
      count.pulls += pulls;
      count.lastPulledAt = Math.max(count.lastPulledAt, at);
    } else if (this.#counts.size < MAX_COUNTS) {
      this.#counts.set(key, { repository, kind, reference, pulls, lastPulledAt: at });
    }
  }

  #remember(pull: Pull, tag: Tag, at: number): void {
    const key = lookupKey(pull);
    this.#lookups.delete(key);
    this.#lookups.set(key, { tag, at });
    if (this.#lookups.size <= MAX_LOOKUPS) return;
    const [oldest] = this.#lookups.keys();
    if (oldest !== undefined) this.#lookups.delete(oldest);
  }

  #lookedUp(pull: Pull, now: number): Tag | undefined {
    if (this.#lookups.size === 0) return undefined;
    const key = lookupKey(pull);
    const found = this.#lookups.get(key);
    if (found === undefined) return undefined;
    this.#lookups.delete(key);
    return now - found.at < LOOKUP_LIFE ? found.tag : undefined;
  }
}

function lookupKey({ client, repository, digest }: Pull): string {
  return `${client} ${repository} ${digest}`;
}
