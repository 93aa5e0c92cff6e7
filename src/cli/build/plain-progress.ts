import type {
  LogEvent,
  ProgressSink,
  StatusEvent,
  VertexEvent,
  WarningEvent,
} from '#worker/build/solve/progress.ts';
import { OutputLines } from './output-lines.ts';
import { printable, shownBytes } from './shown-text.ts';

interface Shown {
  readonly number: number;
  event: VertexEvent;
  /** In milliseconds, of all its tries. */
  duration: number;
  done: boolean;
}

/** Prints what happens in a build as lines, as BuildKit's clients do with `--progress=plain`. */
export class PlainProgress implements ProgressSink, Disposable {
  readonly #write: (text: string) => void;
  readonly #shown = new Map<string, Shown>();
  readonly #lines = new OutputLines();
  #current: Shown | undefined;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  vertex(event: VertexEvent): void {
    const known = this.#shown.get(event.digest);
    if (!known && !event.started) return;
    for (const input of event.inputs) this.#settle(this.#shown.get(input));
    const shown = known ?? { number: this.#shown.size + 1, event, duration: 0, done: false };
    shown.event = event;
    this.#shown.set(event.digest, shown);
    if (!known) this.#line(shown);
    if (!event.completed) return;
    shown.duration += event.completed.getTime() - event.started!.getTime();
    // A source is over twice: when it is known what it is, and when it is here.
    if (event.inputs.length > 0 || event.error !== undefined) this.#settle(shown);
  }

  /** What has not been said yet. */
  [Symbol.dispose](): void {
    for (const shown of this.#shown.values()) this.#settle(shown);
  }

  #settle(shown: Shown | undefined): void {
    if (!shown?.event.completed || shown.done) return;
    shown.done = true;
    for (const line of this.#lines.end(shown.event.digest)) this.#output(shown, line);
    this.#line(shown, outcomeOf(shown));
    this.#current = undefined;
    this.#write('\n');
  }

  status({ vertex, id, current, total, started, completed }: StatusEvent): void {
    const shown = this.#shown.get(vertex);
    if (!shown || !completed) return;
    const counted = total > 0 ? `${shownBytes(current)} / ${shownBytes(total)} ` : '';
    const bytes = total > 0 || current === 0 ? counted : `${shownBytes(current)} `;
    const took = started ? `${seconds(started, completed)} ` : '';
    this.#line(shown, `${printable(id)} ${bytes}${took}done`);
  }

  async log(event: LogEvent): Promise<void> {
    const shown = this.#shown.get(event.vertex);
    if (!shown) return;
    for (const line of this.#lines.push(event)) this.#output(shown, line, event.timestamp);
  }

  warning({ short, detail, url }: WarningEvent): void {
    const lines = [short, ...detail, ...(url ? [url] : [])].map(printable);
    this.#current = undefined;
    this.#write(`WARN: ${lines.join('\n      ')}\n\n`);
  }

  #output(shown: Shown, line: string, at = new Date()): void {
    const since = shown.event.started ? (at.getTime() - shown.event.started.getTime()) / 1000 : 0;
    this.#line(shown, `${Math.max(0, since).toFixed(3)} ${printable(line)}`);
  }

  /** Steps take turns: whichever comes to speak says who it is. */
  #line(shown: Shown, text?: string): void {
    const name = () => printable(shown.event.name);
    if (text === undefined) {
      if (this.#current) this.#write('\n');
      this.#write(`#${shown.number} ${name()}\n`);
    } else {
      if (this.#current !== shown) this.#write(`${this.#current ? '\n' : ''}#${shown.number} ${name()}\n`);
      this.#write(`#${shown.number} ${text}\n`);
    }
    this.#current = shown;
  }
}

function outcomeOf({ event: { cached, error }, duration }: Shown): string {
  if (error === 'context canceled') return 'CANCELED';
  if (error !== undefined) return `ERROR: ${printable(error)}`;
  return cached ? 'CACHED' : `DONE ${(duration / 1000).toFixed(1)}s`;
}

function seconds(from: Date, to: Date): string {
  return `${((to.getTime() - from.getTime()) / 1000).toFixed(1)}s`;
}
