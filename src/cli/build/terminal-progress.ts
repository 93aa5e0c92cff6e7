import { stripVTControlCharacters } from 'node:util';
import type {
  LogEvent,
  ProgressSink,
  StatusEvent,
  VertexEvent,
  WarningEvent,
} from '#worker/build/solve/progress.ts';
import { OutputLines } from './output-lines.ts';
import { printable, shownBytes, shownDuration } from './shown-text.ts';

export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
}

interface Shown {
  event: VertexEvent;
  readonly statuses: Map<string, StatusEvent>;
  /** The last ones that it wrote. */
  lines: string[];
}

const REDRAW_MS = 100;
const LINES_OF_A_STEP = 6;
/** Up so many lines, and nothing below. */
const BACK = (lines: number) => (lines > 0 ? `\x1b[${lines}A\x1b[0J` : '');

/** Shows what happens in a build in place: finished steps, running ones with the last of what they say. */
export class TerminalProgress implements ProgressSink, Disposable {
  readonly #terminal: Terminal;
  readonly #steps = new Map<string, Shown>();
  readonly #output = new OutputLines();
  readonly #warnings: string[] = [];
  readonly #started = Date.now();
  readonly #timer: NodeJS.Timeout;
  #drawn = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#timer = setInterval(() => this.#draw(false), REDRAW_MS);
  }

  vertex(event: VertexEvent): void {
    const shown = this.#steps.get(event.digest) ?? { event, statuses: new Map(), lines: [] };
    shown.event = event;
    this.#steps.set(event.digest, shown);
    if (event.completed) this.#said(shown, this.#output.end(event.digest));
  }

  status(event: StatusEvent): void {
    this.#steps.get(event.vertex)?.statuses.set(event.id, event);
  }

  async log(event: LogEvent): Promise<void> {
    const shown = this.#steps.get(event.vertex);
    if (shown) this.#said(shown, this.#output.push(event));
  }

  warning({ short }: WarningEvent): void {
    this.#warnings.push(` WARN: ${printable(short)}`);
  }

  /** Leaves the whole of it on the screen. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#draw(true);
  }

  #said(shown: Shown, lines: readonly string[]): void {
    const kept = shown.event.error === undefined ? LINES_OF_A_STEP : 40;
    shown.lines = [...shown.lines, ...lines.map(stripVTControlCharacters)].slice(-kept);
  }

  #draw(final: boolean): void {
    const begun = [...this.#steps.values()].filter(({ event }) => event.started);
    const done = begun.filter(({ event }) => event.completed).length;
    const time = shownDuration(Date.now() - this.#started);
    const head = `[+] Building ${time} (${done}/${this.#steps.size})`;
    const body = begun.flatMap((step) => this.#linesOf(step, final));
    const room = Math.max(3, this.#terminal.rows - 3);
    const lines = [head, ...(final ? [...body, ...this.#warnings] : body.slice(-room))];
    const text = lines.map((line) => `${line}\n`).join('');
    this.#terminal.write(`${BACK(this.#drawn)}${text}`);
    this.#drawn = lines.length;
  }

  #linesOf({ event, statuses, lines }: Shown, final: boolean): string[] {
    const { started, completed, cached, error } = event;
    const took = shownDuration((completed?.getTime() ?? Date.now()) - started!.getTime());
    const mark =
      error === 'context canceled' ? 'CANCELED ' : error !== undefined ? 'ERROR ' : cached ? 'CACHED ' : '';
    const head = this.#row(` => ${mark}${printable(event.name)}`, took);
    if (completed && error === undefined) return [head];
    const moving = [...statuses.values()].filter((status) => !final && !status.completed);
    const parts = moving.slice(-LINES_OF_A_STEP).map(({ id, current, total }) => {
      const amount = total > 0 ? `${shownBytes(current)} / ${shownBytes(total)}` : shownBytes(current);
      return this.#row(` => => ${printable(id)}`, amount);
    });
    const said = final && error === undefined ? [] : lines;
    return [head, ...parts, ...said.map((line) => this.#row(` => => # ${printable(line)}`, ''))];
  }

  /** One line of the screen, whatever is in it. */
  #row(left: string, right: string): string {
    const width = Math.max(20, this.#terminal.columns - 1);
    const room = width - right.length - (right ? 1 : 0);
    const text = [...left];
    const fitting =
      text.length <= room ? left.padEnd(right ? room : 0) : `${text.slice(0, room - 1).join('')}…`;
    return right ? `${fitting} ${right}` : fitting;
  }
}
