import type { LogEvent } from '#worker/build/solve/progress.ts';

/** Longer ones are shown in pieces. */
const MAX_LINE = 64 * 1024;

/** Makes lines of what commands write in pieces. A carriage return ends one, so that progress bars are many. */
export class OutputLines {
  readonly #open = new Map<string, { text: string; decoder: InstanceType<typeof TextDecoder> }>();

  /** Those that are whole now. */
  push({ vertex, stream, data }: LogEvent): string[] {
    const key = `${vertex} ${stream}`;
    const open = this.#open.get(key) ?? { text: '', decoder: new TextDecoder() };
    this.#open.set(key, open);
    const lines = (open.text + open.decoder.decode(data, { stream: true })).split(/\r?\n|\r(?!$)/);
    open.text = lines.pop()!;
    if (open.text.length <= MAX_LINE) return lines;
    lines.push(open.text);
    open.text = '';
    return lines;
  }

  /** The last of a step's, without an end. */
  end(vertex: string): string[] {
    const rest = ['stdout', 'stderr'].map((stream) => {
      const key = `${vertex} ${stream}`;
      const text = this.#open.get(key)?.text ?? '';
      this.#open.delete(key);
      return text;
    });
    return rest.filter((text) => text !== '');
  }
}
