import type { ClassicOutput } from '../build/classic/classic-request.ts';
import type { BuildRequestOutput } from '../buildkit/request/build-request.ts';
import type { ProgressStream } from './progress-stream.ts';

/** What a quiet build keeps, to be shown if it fails. */
const MAX_HELD_LINES = 10_000;

/** The engine's JSON lines of a build. A quiet one sends the image's ID alone, or all it held back when it fails. */
export class BuildProgress implements ClassicOutput, BuildRequestOutput {
  readonly #stream: ProgressStream;
  readonly #quiet: boolean;
  #held: object[] = [];

  constructor(stream: ProgressStream, options: { quiet: boolean }) {
    this.#stream = stream;
    this.#quiet = options.quiet;
  }

  stdout(text: string): Promise<void> {
    return this.#write({ stream: text });
  }

  /** The engine marks it red, for the client has one output only. */
  stderr(text: string): Promise<void> {
    return this.#write({ stream: `\u001b[91m${text}\u001b[0m` });
  }

  progress(line: object): Promise<void> {
    return this.#write(line);
  }

  /** Also of a quiet build: `--iidfile` takes it from here. */
  image(id: string): Promise<void> {
    return this.#stream.write({ aux: { ID: id } });
  }

  /** BuildKit's progress, for clients that show it themselves. */
  trace(message: Uint8Array): Promise<void> {
    return this.#write({ id: 'moby.buildkit.trace', aux: Buffer.from(message).toString('base64') });
  }

  /** The image of a build of BuildKit's. */
  made(id: string): Promise<void> {
    return this.#stream.write({ id: 'moby.image.id', aux: { ID: id } });
  }

  /** `id`: of the image, if there is one. */
  async finish(id: string | undefined): Promise<void> {
    if (this.#quiet && id) await this.#stream.write({ stream: `${id}\n` });
    this.#stream.end();
  }

  async replay(): Promise<void> {
    for (const line of this.#held) await this.#stream.write(line);
    this.#held = [];
  }

  async #write(line: object): Promise<void> {
    if (!this.#quiet) return this.#stream.write(line);
    if (this.#held.length < MAX_HELD_LINES) this.#held.push(line);
  }
}
