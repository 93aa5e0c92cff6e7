import { link, rename, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { systemCode } from '#errors/errors.ts';
import { FileWatch } from './file-watch.ts';
import { rotatedPath, segmentId } from './log-segments.ts';

export interface RotatedLog {
  readonly path: string;
  /** In bytes; a little more may be written until it is noticed. */
  readonly maxSize: number;
  /** How many files there are at most, the one that is written to among them. */
  readonly maxFiles: number;
  /** Makes the writer begin a new file at `path`. */
  readonly reopen: () => Promise<void>;
}

/** How often the size of a growing log is looked at, at least and at most. */
const MIN_INTERVAL = 20;
const MAX_INTERVAL = 200;
const REOPEN_STEP = 5;
const REOPEN_STEPS = 400;

/**
 * Keeps one log within its bounds while it is written. The size is looked at as often as the pace of the writer asks
 * for; while nothing is written the kernel is left to say when that changes.
 */
export class LogRotation implements Disposable {
  readonly #log: RotatedLog;
  readonly #logger: Logger;
  readonly #watch: FileWatch;
  #ended = false;
  #lastSize = 0;
  #lastLook = Date.now();

  constructor(log: RotatedLog, logger: Logger) {
    this.#log = log;
    this.#logger = logger;
    this.#watch = new FileWatch(log.path);
    void this.#run();
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#watch.wake();
    this.#watch[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      try {
        const pause = await this.#look();
        if (this.#ended) return;
        if (pause === undefined) await this.#watch.changed();
        else await sleep(pause, undefined, { ref: false });
      } catch (error) {
        this.#logger.warn({ err: error, path: this.#log.path }, 'rotating a log');
        await sleep(MAX_INTERVAL, undefined, { ref: false });
      }
    }
  }

  /** Returns after how many milliseconds to look again; undefined when nothing was written since the last time. */
  async #look(): Promise<number | undefined> {
    const { path, maxSize } = this.#log;
    // Before the look, so that what comes after it is seen; another file has that path after a rotation.
    if (this.#lastSize === 0) this.#watch.start((await segmentId(path)) !== undefined);
    let { size } = await stat(path).catch(missingIsEmpty);
    if (size >= maxSize) {
      await rotate(this.#log);
      size = 0;
    }
    const now = Date.now();
    const grown = size - this.#lastSize;
    const pace = Math.max(0, grown) / Math.max(1, now - this.#lastLook);
    [this.#lastSize, this.#lastLook] = [size, now];
    if (grown === 0) return undefined;
    const untilFull = pace > 0 ? (maxSize - size) / pace : MIN_INTERVAL;
    return Math.min(MAX_INTERVAL, Math.max(MIN_INTERVAL, untilFull));
  }
}

/**
 * Begins a new file; the oldest one goes. The current file gets its new name before the writer lets go of it, so that
 * every byte is under some name at any moment, also when this is cut short.
 */
export async function rotate({ path, maxFiles, reopen }: Omit<RotatedLog, 'maxSize'>): Promise<void> {
  const current = await segmentId(path);
  if (current === undefined) return;
  if (maxFiles > 1 && (await segmentId(rotatedPath(path, 1))) !== current) {
    for (let index = maxFiles - 2; index >= 1; index--) {
      await rename(rotatedPath(path, index), rotatedPath(path, index + 1)).catch(ignoreMissing);
    }
    await linkOver(path, rotatedPath(path, 1));
  }
  await reopen();
  for (let step = 0; step < REOPEN_STEPS; step++) {
    if ((await segmentId(path)) !== current) return;
    await sleep(REOPEN_STEP);
  }
  throw new Error('the writer did not begin a new file');
}

/** With two files there is nothing to move away: the older one is replaced at once. */
async function linkOver(path: string, name: string): Promise<void> {
  const temporary = `${name}.new`;
  await link(path, temporary).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw error;
  });
  await rename(temporary, name);
}

function ignoreMissing(error: unknown): void {
  if (systemCode(error) !== 'ENOENT') throw error;
}

function missingIsEmpty(error: unknown): { size: number } {
  ignoreMissing(error);
  return { size: 0 };
}
