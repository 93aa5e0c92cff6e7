import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { exitCodeOf, spawnProcess } from './spawn-process.ts';

export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  /** The last of it, when there is much. */
  readonly stderr: string;
}

const MAX_STDERR = 64 * 1024;

/** Runs a program (absolute path) to its end. An abort kills it and all that it has started, and rejects. */
export async function runProgram(
  path: string,
  args: readonly string[],
  options: { env: Readonly<Record<string, string>>; cwd?: string; signal: AbortSignal },
): Promise<ProgramResult> {
  const { env, cwd, signal } = options;
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
      text(child.stdio[1]!),
      lastOf(child.stdio[2]!),
      child.exited,
    ]);
    signal.throwIfAborted();
    return { code: exitCodeOf(exit), stdout, stderr };
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

async function lastOf(stream: Readable): Promise<string> {
  let kept = '';
  for await (const chunk of stream) kept = (kept + String(chunk)).slice(-MAX_STDERR);
  return kept;
}
