import { StringDecoder } from 'node:string_decoder';
import type { BuildOutput } from './build-request.ts';
import type { StepObserver } from './graph/op-runner.ts';

const SHORT_ID = 12;

/** The lines of Docker's classic builder, which the stock CLI prints as they come. */
export class ClassicOutput {
  readonly #output: BuildOutput;
  readonly #total: number;
  #step = 0;

  constructor(output: BuildOutput, total: number) {
    this.#output = output;
    this.#total = total;
  }

  step(text: string): Promise<void> {
    return this.#output.stdout(`Step ${++this.#step}/${this.#total} : ${text}\n`);
  }

  /** The image that a step has come to. */
  image(id: string | undefined): Promise<void> {
    return this.#output.stdout(` ---> ${id === undefined ? '' : shortId(id)}\n`);
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

  /** An observer for one step: a command's output is cut into text at whole characters. */
  observer(): StepObserver {
    const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
    const write = async (stream: 'stdout' | 'stderr', text: string) => {
      if (text !== '') await this.#output[stream](text);
    };
    return {
      cached: () => this.#output.stdout(' ---> Using cache\n'),
      running: (id) => this.#output.stdout(` ---> Running in ${shortId(id)}\n`),
      output: (stream, bytes) => write(stream, decoders[stream].write(bytes)),
      removed: async (id) => {
        await write('stdout', decoders.stdout.end());
        await write('stderr', decoders.stderr.end());
        await this.#output.stdout(` ---> Removed intermediate container ${shortId(id)}\n`);
      },
    };
  }
}

export function shortId(id: string): string {
  return id.slice(id.indexOf(':') + 1).slice(0, SHORT_ID);
}
