/** One line of a pull's, push's or load's output, in the engine's words. */
export interface ProgressLine {
  readonly status?: string;
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  /** The bar, for clients that only print. */
  readonly progress?: string;
  readonly stream?: string;
  readonly aux?: object;
}

/** Takes lines in order; may answer a promise to slow the work down to its reader. */
export type ProgressSink = (line: ProgressLine) => void | Promise<void>;

const INTERVAL_MS = 100;
const BAR_WIDTH = 50;

export function statusLine(id: string, status: string): ProgressLine {
  return { status, progressDetail: {}, id };
}

export function progressLine(id: string, status: string, current: number, total: number): ProgressLine {
  return { status, progressDetail: { current, total }, progress: progressBar(current, total), id };
}

/** Counts bytes and reports them, ten times a second at most. */
export class ProgressMeter {
  readonly #sink: ProgressSink;
  readonly #id: string;
  readonly #status: string;
  readonly #total: number;
  #current: number;
  #reportedAt = 0;

  constructor(sink: ProgressSink, at: { id: string; status: string; total: number; current?: number }) {
    this.#sink = sink;
    this.#id = at.id;
    this.#status = at.status;
    this.#total = at.total;
    this.#current = at.current ?? 0;
  }

  add(bytes: number): void {
    this.#current += bytes;
    const now = performance.now();
    if (now - this.#reportedAt < INTERVAL_MS && this.#current !== this.#total) return;
    this.#reportedAt = now;
    void this.#sink(progressLine(this.#id, this.#status, this.#current, this.#total));
  }
}

/** `[=====>     ]  1.234MB/5.678MB` */
export function progressBar(current: number, total: number): string {
  if (current <= 0 && total <= 0) return '';
  const done = humanSize(current).padStart(8);
  if (total <= 0) return done;
  const filled = Math.min(Math.floor(Math.floor((current / total) * 100) / 2), BAR_WIDTH);
  const bar = `[${'='.repeat(filled)}>${' '.repeat(BAR_WIDTH - filled)}] `;
  return bar + (current > total ? done : `${done}/${humanSize(total)}`);
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Decimal, with four significant digits: `1.234MB`. */
export function humanSize(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${Number(size.toPrecision(4))}${UNITS[unit]}`;
}
