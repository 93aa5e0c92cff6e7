import type { Readable } from 'node:stream';
import { tooLarge } from '#errors/errors.ts';
import { exitCodeOf, spawnProcess } from './spawn-process.ts';

export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  /** The last of it, when there is much. */
  readonly stderr: string;
}

const MAX_STDOUT = 64 * 1024 * 1024;
const MAX_STDERR = 64 * 1024;

export interface ProgramOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly signal: AbortSignal;
  /** In place of keeping what it prints, hears it. What it throws ends the program. */
  readonly hear?: (text: string) => void;
}

/**
 * Runs a program (absolute path) to its end. An abort kills it and all that it has started, and rejects. Throws
 * `too-large` for one that prints without end.
 */
export async function runProgram(
  path: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  const { env, cwd, signal, hear } = options;
  signal.throwIfAborted();
  const child = await spawnProcess(path, args, {
    env,
    ...(cwd && { cwd }),
    stdio: ['ignore', 'read', 'read'],
  });
  // It leads a session, and with that a group, of its own.
  const kill = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  };
  if (signal.aborted) kill();
  signal.addEventListener('abort', kill, { once: true });
  try {
    const [stdout, stderr, exit] = await Promise.all([
      allOf(child.stdio[1]!, hear),
      lastOf(child.stdio[2]!),
      child.exited,
    ]);
    signal.throwIfAborted();
    return { code: exitCodeOf(exit), stdout, stderr };
  } catch (error) {
    kill();
    throw error;
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

async function allOf(stream: Readable, hear?: (text: string) => void): Promise<string> {
  const chunks: string[] = [];
  let length = 0;
  for await (const chunk of stream.setEncoding('utf8') as AsyncIterable<string>) {
    if (hear) hear(chunk);
    else {
      length += chunk.length;
      if (length > MAX_STDOUT) throw tooLarge(`a program printed more than ${MAX_STDOUT} bytes`);
      chunks.push(chunk);
    }
  }
  return chunks.join('');
}

async function lastOf(stream: Readable): Promise<string> {
  let kept = '';
  for await (const chunk of stream) kept = (kept + String(chunk)).slice(-MAX_STDERR);
  return kept;
}
