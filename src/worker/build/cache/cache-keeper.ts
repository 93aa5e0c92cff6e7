import type { CacheContents } from './cache-contents.ts';
import { type PruneReport, type PruneRequest, prune } from './prune.ts';

export interface CacheKeeperPorts {
  readonly parts: readonly CacheContents[];
  /** Of the disk that they are on. */
  readonly freeBytes: () => Promise<number>;
  /** Removes layers that were in use when their record went. */
  readonly collect: () => Promise<void>;
  /** Told of what could not be removed. */
  readonly report: (error: unknown) => void;
}

/** How much may be kept; 0: as much as there is, or no such limit. */
export interface CacheLimits {
  readonly reservedBytes: number;
  readonly maxUsedBytes: number;
  readonly minFreeBytes: number;
  /** What was not used for longer goes; in milliseconds. */
  readonly maxUnusedMs: number;
}

const INTERVAL_MS = 5 * 60 * 1000;

/** Keeps what the builder keeps within its limits: from time to time, and when somebody asks for it. */
export class CacheKeeper implements AsyncDisposable {
  readonly #ports: CacheKeeperPorts;
  readonly #limits: CacheLimits;
  #timer: NodeJS.Timeout | undefined;
  #trimming: Promise<void> = Promise.resolve();

  constructor(ports: CacheKeeperPorts, limits: CacheLimits) {
    this.#ports = ports;
    this.#limits = limits;
  }

  start(): void {
    this.#timer = setInterval(() => this.trim(), INTERVAL_MS).unref();
  }

  /** Goes on beside whatever else does; one after the other. */
  trim(): Promise<void> {
    this.#trimming = this.#trimming.then(() => this.#trim()).catch(this.#ports.report);
    return this.#trimming;
  }

  prune(request: PruneRequest): Promise<PruneReport> {
    return prune(this.#ports.parts, request, this.#ports.freeBytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#trimming;
  }

  async #trim(): Promise<void> {
    const { maxUnusedMs, ...limits } = this.#limits;
    if (maxUnusedMs > 0) await this.prune({ unusedSince: new Date(Date.now() - maxUnusedMs) });
    if (Object.values(limits).some((bytes) => bytes > 0)) await this.prune(limits);
    await this.#ports.collect();
  }
}
