import { randomBytes } from 'node:crypto';
import { StringDecoder } from 'node:string_decoder';
import type { ClassicOutput } from './classic-request.ts';

const SHORT_ID = 12;

/** The lines of Docker's classic builder, which the stock CLI prints as they come. */
export class StepPrinter {
  readonly #output: ClassicOutput;
  readonly #total: number;
  #step = 0;

  constructor(output: ClassicOutput, total: number) {
    this.#output = output;
    this.#total = total;
  }

  step(text: string): Promise<void> {
    return this.#output.stdout(`Step ${++this.#step}/${this.#total} : ${text}\n`);
  }

  /** What a step has come to. */
  image(id: string | undefined): Promise<void> {
    return this.#output.stdout(` ---> ${id === undefined ? '' : shortId(id)}\n`);
  }

  cached(): Promise<void> {
    return this.#output.stdout(' ---> Using cache\n');
  }

  triggers(count: number): Promise<void> {
    return this.#output.stdout(`# Executing ${count} build trigger${count === 1 ? '' : 's'}\n`);
  }

  warnings(lines: readonly string[]): Promise<void> {
    return lines.length === 0 ? Promise.resolve() : this.#output.stderr(`${lines.join('\n')}\n`);
  }

  unusedArgs(names: readonly string[]): Promise<void> {
    if (names.length === 0) return Promise.resolve();
    return this.#output.stdout(`[Warning] One or more build-args [${names.join(' ')}] were not consumed\n`);
  }

  async built(id: string, tags: readonly string[]): Promise<void> {
    await this.#output.image(id);
    await this.#output.stdout(`Successfully built ${shortId(id)}\n`);
    for (const tag of tags) await this.#output.stdout(`Successfully tagged ${tag}\n`);
  }

  /** A command starts. */
  async command(): Promise<CommandPrinter> {
    const id = randomBytes(SHORT_ID / 2).toString('hex');
    await this.#output.stdout(` ---> Running in ${id}\n`);
    return new CommandPrinter(this.#output, id);
  }
}

/** What a command writes, cut into text at whole characters. */
class CommandPrinter {
  readonly #output: ClassicOutput;
  readonly #id: string;
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };

  constructor(output: ClassicOutput, id: string) {
    this.#output = output;
    this.#id = id;
  }

  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
    return this.#text(stream, this.#decoders[stream].write(bytes));
  }

  async ended({ tell }: { tell: boolean }): Promise<void> {
    await this.#text('stdout', this.#decoders.stdout.end());
    await this.#text('stderr', this.#decoders.stderr.end());
    if (tell) await this.#output.stdout(` ---> Removed intermediate container ${this.#id}\n`);
  }

  async #text(stream: 'stdout' | 'stderr', text: string): Promise<void> {
    if (text !== '') await this.#output[stream](text);
  }
}

function shortId(id: string): string {
  return id.slice(id.indexOf(':') + 1).slice(0, SHORT_ID);
}
