import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { collect, pipe, spawn } from './posix-spawn.ts';

/**
 * One of a child's standard streams: `ignore` is /dev/null, `read` a pipe that we read, `write` one that we write,
 * a number one of our descriptors.
 */
export type SpawnStdio = 'ignore' | 'read' | 'write' | number;

export interface SpawnOptions {
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** For the descriptors 0, 1, 2 and so on. */
  readonly stdio: readonly SpawnStdio[];
  /** At once on the calling thread, and so in the namespaces that it is in at the moment of the call. */
  readonly here?: boolean;
}

export interface SpawnedProcess {
  readonly pid: number;
  /** Our end of each pipe, at its descriptor's place. The caller reads them to the end, or destroys them. */
  readonly stdio: readonly (Socket | undefined)[];
  /** Resolves when it has ended, whether or not its output was read. */
  readonly exited: Promise<ProcessExit>;
  /** Nothing once it has ended. */
  kill(signal: NodeJS.Signals): void;
}

export interface ProcessExit {
  /** null: killed by a signal. */
  readonly code: number | null;
  readonly signal: number | null;
}

/**
 * Starts a program (absolute path) in a session of its own. Pipes are pipes, not sockets as Node's are: what runs
 * inside may open its `/dev/stderr`. For the main thread only. Rejects with execve's error (`ENOENT`, `EACCES` …).
 */
export async function spawnProcess(
  path: string,
  args: readonly string[],
  options: SpawnOptions,
): Promise<SpawnedProcess> {
  const theirs: number[] = [];
  const ours: (number | undefined)[] = [];
  let pid: number;
  try {
    const descriptors = options.stdio.map((stdio) => {
      ours.push(undefined);
      if (stdio === 'ignore') return undefined;
      if (typeof stdio === 'number') return stdio;
      const { readEnd, writeEnd } = pipe();
      const [mine, given] = stdio === 'read' ? [readEnd, writeEnd] : [writeEnd, readEnd];
      ours[ours.length - 1] = mine;
      theirs.push(given);
      return given;
    });
    const { env, cwd, here = false } = options;
    pid = await spawn({ path, args, env, cwd, descriptors, here });
  } catch (error) {
    for (const fd of ours) if (fd !== undefined) closeSync(fd);
    throw error;
  } finally {
    for (const fd of theirs) closeSync(fd);
  }
  const stdio = ours.map((fd, at) =>
    fd === undefined ? undefined : socketOf(fd, options.stdio[at] === 'read'),
  );
  let running = true;
  const exited = exitOf(pid);
  void exited.then(() => {
    running = false;
  });
  return {
    pid,
    stdio,
    exited,
    kill: (signal) => {
      if (running && collectNow(pid) === undefined) process.kill(pid, signal);
    },
  };
}

function socketOf(fd: number, readable: boolean): Socket {
  return new Socket({ fd, readable, writable: !readable });
}

/** Children that have not ended, and who waits for them. */
const waiting = new Map<number, (exit: ProcessExit) => void>();
/** Keeps the worker alive for them, and looks after them should a signal get lost. */
let watch: NodeJS.Timeout | undefined;
const WATCH_MS = 1000;

function exitOf(pid: number): Promise<ProcessExit> {
  const { promise, resolve } = Promise.withResolvers<ProcessExit>();
  if (waiting.size === 0) {
    process.on('SIGCHLD', collectAll);
    watch = setInterval(collectAll, WATCH_MS);
  }
  waiting.set(pid, resolve);
  // It may have ended before anybody listened.
  collectNow(pid);
  return promise;
}

/** One signal may stand for several children. */
function collectAll(): void {
  for (const pid of [...waiting.keys()]) collectNow(pid);
}

function collectNow(pid: number): ProcessExit | undefined {
  const resolve = waiting.get(pid);
  const exit = resolve && collect(pid);
  if (!exit) return undefined;
  waiting.delete(pid);
  if (waiting.size === 0) {
    process.off('SIGCHLD', collectAll);
    clearInterval(watch);
  }
  resolve(exit);
  return exit;
}

/** An exit code as shells have it: 128 + n for signal n. */
export function exitCodeOf({ code, signal }: ProcessExit): number {
  return code ?? 128 + (signal ?? constants.signals.SIGKILL);
}
