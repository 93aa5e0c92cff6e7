import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type S3Server, type S3ServerName, startS3Server } from './s3-server.ts';

/**
 * One S3 server for all test files of a run, started when the first one asks: Vitest's own process holds it, and the
 * workers ask over a socket (`sharedS3`). Each project sets it up; the first one does and the last one ends it.
 */
interface Shared {
  users: number;
  readonly opened: Promise<{ close(): Promise<void> }>;
}

const holder = globalThis as { slipwaySharedS3?: Shared };

export async function setup(): Promise<void> {
  holder.slipwaySharedS3 ??= { users: 0, opened: open() };
  holder.slipwaySharedS3.users++;
  await holder.slipwaySharedS3.opened;
}

export async function teardown(): Promise<void> {
  const shared = holder.slipwaySharedS3;
  if (!shared || --shared.users > 0) return;
  delete holder.slipwaySharedS3;
  await (await shared.opened).close();
}

async function open() {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-shared-s3-'));
  let started: Promise<S3Server> | undefined;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    started ??= startS3Server(process.env.S3_SERVER as S3ServerName | undefined);
    started.then(
      ({ access }) => socket.end(JSON.stringify({ access })),
      (error: Error) => socket.end(JSON.stringify({ error: error.message })),
    );
  });
  const path = join(folder, 'socket');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  process.env.S3_SHARED_SOCKET = path;
  return { close: () => close(server, folder, started) };
}

async function close(server: Server, folder: string, started: Promise<S3Server> | undefined): Promise<void> {
  server.close();
  await (await started?.catch(() => undefined))?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}
