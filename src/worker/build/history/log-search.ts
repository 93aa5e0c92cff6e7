import type { LogEvent } from '../solve/progress.ts';

/** A line of a log that has what was looked for. */
export interface FoundLine {
  readonly step: string;
  readonly stream: LogEvent['stream'];
  readonly at: Date;
  /** Of a long line, the part around it. */
  readonly line: string;
}

/** Longer lines are looked at in pieces. */
const MAX_LINE = 16 * 1024;
const LINE_ENDS = new Set([0x0a, 0x0d]);
const SHOWN_BEFORE = 200;
const SHOWN = 1000;

/**
 * Finds lines with a text, in upper or lower case, in what commands wrote. Commands write as they like: a line may come
 * in pieces, and those of several commands in turns.
 */
export class LogSearch {
  readonly #wanted: string;
  readonly #open = new Map<string, OpenLine>();

  constructor(text: string) {
    this.#wanted = text.toLowerCase();
  }

  /** Whether no line is under way: a search may end here, and another one go on behind it. */
  get betweenLines(): boolean {
    return this.#open.size === 0;
  }

  *push(event: LogEvent): Generator<FoundLine> {
    const { vertex: step, stream, timestamp: at } = event;
    const key = `${step} ${stream}`;
    const open = this.#open.get(key) ?? { step, stream, at, text: '', decoder: new TextDecoder() };
    const lines = (open.text + open.decoder.decode(event.data, { stream: true })).split(/\r\n|[\r\n]/);
    const rest = lines.pop()!;
    for (const line of lines) yield* this.#matches({ ...open, text: line });
    const ended = rest === '' && LINE_ENDS.has(event.data.at(-1)!);
    if (rest.length > MAX_LINE) yield* this.#matches({ ...open, text: rest });
    if (ended || rest.length > MAX_LINE) this.#open.delete(key);
    else this.#open.set(key, { ...open, at: lines.length > 0 ? at : open.at, text: rest });
  }

  /** A step's lines are over, or those of all steps. */
  *end(step?: string): Generator<FoundLine> {
    for (const [key, open] of this.#open) {
      if (step !== undefined && open.step !== step) continue;
      this.#open.delete(key);
      yield* this.#matches(open);
    }
  }

  *#matches({ step, stream, at, text }: OpenLine): Generator<FoundLine> {
    const found = text.toLowerCase().indexOf(this.#wanted);
    if (found < 0) return;
    const from = text.length <= SHOWN ? 0 : Math.max(0, found - SHOWN_BEFORE);
    yield { step, stream, at, line: text.slice(from, from + SHOWN) };
  }
}

interface OpenLine {
  readonly step: string;
  readonly stream: LogEvent['stream'];
  readonly at: Date;
  readonly text: string;
  readonly decoder: InstanceType<typeof TextDecoder>;
}
