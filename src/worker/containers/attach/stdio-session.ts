import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { isKind } from '#errors/errors.ts';
import type { LogEntry } from '../../logs/log-file.ts';
import { DetachScanner } from './detach-keys.ts';

/** The far end of an attached process: what it reads and writes. */
export interface StdioClient {
  /** Its input; it ends when the client has no more. */
  readonly input: Readable | undefined;
  /** Resolves when more may be written. */
  output(stream: 'stdout' | 'stderr', data: Uint8Array): Promise<void>;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

export interface StdioProcess {
  readonly entries: AsyncIterable<LogEntry>;
  /** The process's stdin, once it runs; undefined when it takes none or never ran. */
  readonly stdin: () => Promise<Writable | undefined>;
  /** For a terminal: what detaches its user. */
  readonly detachKeys: Uint8Array | undefined;
}

/** Joins a client with a process until the process has ended and all was delivered, or the client leaves. */
export async function joinStdio(process: StdioProcess, client: StdioClient): Promise<'ended' | 'detached'> {
  const over = new AbortController();
  const signal = AbortSignal.any([client.signal, over.signal]);
  const detached = Promise.withResolvers<'detached'>();
  if (client.input) {
    void pumpInput(process, client.input, signal).then(
      (result) => result === 'detached' && detached.resolve('detached'),
      () => undefined,
    );
  }
  try {
    return await Promise.race([pumpOutput(process.entries, client), detached.promise]);
  } finally {
    over.abort();
  }
}

async function pumpOutput(entries: AsyncIterable<LogEntry>, client: StdioClient): Promise<'ended'> {
  try {
    for await (const { stream, data } of entries) await client.output(stream, data);
  } catch (error) {
    if (!isKind(error, 'canceled') && !client.signal.aborted) throw error;
  }
  return 'ended';
}

async function pumpInput(
  process: StdioProcess,
  input: Readable,
  signal: AbortSignal,
): Promise<'done' | 'detached'> {
  const stdin = await process.stdin();
  if (!stdin) return 'done';
  const scanner = process.detachKeys && new DetachScanner(process.detachKeys);
  const leave = () => stdin.end();
  signal.addEventListener('abort', leave, { once: true });
  try {
    for await (const chunk of input.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      if (signal.aborted || stdin.destroyed) break;
      const { input: bytes, detached } = scanner?.scan(chunk) ?? { input: chunk, detached: false };
      if (bytes.length > 0 && !stdin.write(bytes)) await once(stdin, 'drain', { signal });
      if (detached) return 'detached';
    }
    return 'done';
  } finally {
    signal.removeEventListener('abort', leave);
    stdin.end();
  }
}
