import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { text } from 'node:stream/consumers';

export interface CommandResult {
  /** 128 + n when it was killed by signal n, as a shell has it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Handed to its standard input, which is closed after it; nothing is an empty input. */
  readonly input?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** Called with each piece of what it prints, of both kinds, as it comes. */
  readonly onOutput?: (text: string) => void;
}

/** Runs a program to its end, whatever that is. */
export async function run(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(program, args, { env: options.env, cwd: options.cwd, signal: options.signal });
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  if (options.onOutput) {
    for (const output of [child.stdout, child.stderr]) {
      output.on('data', (chunk: Buffer) => options.onOutput!(chunk.toString()));
    }
  }
  const exit = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + signalNumber(signal)));
  });
  const [code, stdout, stderr] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** Runs a program that has to succeed, and gives its output without the closing newline. */
export async function succeed(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: exit code ${code}\n${stdout}${stderr}`);
  return stdout.replace(/\n$/, '');
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : (constants.signals[signal] ?? 0);
}
