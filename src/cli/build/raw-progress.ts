import type {
  LogEvent,
  ProgressSink,
  StatusEvent,
  VertexEvent,
  WarningEvent,
} from '#worker/build/solve/progress.ts';

/** Prints what happens in a build as lines of JSON, in the form of BuildKit's `--progress=rawjson`. */
export class RawProgress implements ProgressSink {
  readonly #write: (text: string) => void;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  vertex(event: VertexEvent): void {
    this.#say({ vertexes: [event] });
  }

  status(event: StatusEvent): void {
    this.#say({ statuses: [event] });
  }

  async log({ data, stream, ...event }: LogEvent): Promise<void> {
    const bytes = Buffer.from(data).toString('base64');
    this.#say({ logs: [{ ...event, stream: stream === 'stdout' ? 1 : 2, data: bytes }] });
  }

  warning({ short, detail, source: _, ...event }: WarningEvent): void {
    const encoded = [short, ...detail].map((text) => Buffer.from(text).toString('base64'));
    this.#say({ warnings: [{ ...event, short: encoded[0], detail: encoded.slice(1) }] });
  }

  #say(message: object): void {
    this.#write(`${JSON.stringify(message)}\n`);
  }
}
