import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isKind } from '#errors/errors.ts';
import { RetainedDirectories } from '#worker/build/context/retained-directories.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import { ReceiveThreads } from '#worker/buildkit/fsutil/receive-threads.ts';
import { toGrpcError } from '#worker/buildkit/grpc/grpc-error.ts';
import { GrpcServer } from '#worker/buildkit/grpc/grpc-server.ts';
import { Metadata } from '#worker/buildkit/grpc/metadata.ts';
import type { ServiceHandlers } from '#worker/buildkit/grpc/server-call.ts';
import { FileSync } from '#worker/buildkit/proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { Secrets } from '#worker/buildkit/proto/github.com/moby/buildkit/session/secrets/secrets_pb.ts';
import { Packet_PacketType as PacketType } from '#worker/buildkit/proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import { SessionManager } from '#worker/buildkit/session/session-manager.ts';

const { PACKET_STAT, PACKET_DATA, PACKET_FIN, PACKET_REQ } = PacketType;
const signal = new AbortController().signal;

let folder: string;
let directories: RetainedDirectories;
let receivers: ReceiveThreads;
let sessions: SessionManager;
const servers: GrpcServer[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-session-'));
  directories = new RetainedDirectories({ root: join(folder, 'contexts') });
  await directories.reconcile();
  receivers = new ReceiveThreads();
  sessions = new SessionManager({
    directories,
    receivers,
    limits: { maxBytes: 10_000, maxEntries: 10 },
    patienceMs: 0,
  });
});
afterEach(async () => {
  sessions.close();
  for (const server of servers.splice(0)) server.close();
  await receivers[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Client {
  fileSync?: ServiceHandlers<typeof FileSync>;
  secrets?: ServiceHandlers<typeof Secrets>;
}

/** A client that serves what a test says, and its session. */
async function connect(client: Client, id = 'one') {
  const [ours, theirs] = duplexPair();
  const server = new GrpcServer({ toError: toGrpcError, log: pino({ level: 'silent' }) })
    .add(FileSync, client.fileSync ?? {})
    .add(Secrets, client.secrets ?? {});
  servers.push(server);
  server.accept(theirs);
  const metadata = new Metadata()
    .add('x-docker-expose-session-uuid', id)
    .add('x-docker-expose-session-grpc-method', '/moby.filesync.v1.FileSync/DiffCopy')
    .add('x-docker-expose-session-grpc-method', '/moby.buildkit.secrets.v1.Secrets/GetSecret');
  const over = sessions.serve(ours, metadata);
  over.catch(() => {});
  return { session: await sessions.find(id, { signal }), over, leave: () => theirs.destroy(), theirs };
}

const fetch = (session: BuildSession) =>
  session.directory(
    { name: 'context', includePatterns: [], excludePatterns: [], followPaths: [] },
    { signal },
  );

const regular = (path: string, size: bigint) => ({
  type: PACKET_STAT,
  stat: { path, mode: 0o644, size, modTime: 5n },
});

describe('a session', () => {
  it('is waited for, and known by one id only', async () => {
    const found = sessions.find('late', { signal });
    const { session, over, leave } = await connect({}, 'late');
    expect(await found).toBe(session);
    const [second] = duplexPair();
    const metadata = new Metadata().add('x-docker-expose-session-uuid', 'late');
    await expect(sessions.serve(second, metadata)).rejects.toThrow('already exists');
    leave();
    await over;
    expect(session.closed.aborted).toBe(true);
    await expect(sessions.find('late', { signal: AbortSignal.timeout(50) })).rejects.toThrow();
  });

  it('ends when the client says goodbye by its half alone', async () => {
    const { over, theirs, session } = await connect({});
    theirs.end();
    await over;
    expect(session.closed.aborted).toBe(true);
  });

  it('fails what is under way when the client goes', async () => {
    const { session, leave } = await connect({ secrets: { getSecret: () => new Promise(() => {}) } });
    const secret = session.secret('x', { signal });
    setTimeout(leave, 20);
    const error = await secret.catch((thrown: unknown) => thrown);
    expect(isKind(error, 'unavailable')).toBe(true);
  });

  it('does not take a secret that is too large', async () => {
    const data = new Uint8Array(600 * 1024);
    const { session } = await connect({ secrets: { getSecret: async () => ({ data }) } });
    await expect(session.secret('x', { signal })).rejects.toThrow('larger than');
  });
});

describe("a client's directory", () => {
  it('is there when the client behaves, and is asked for once', async () => {
    const asked: number[] = [];
    const { session } = await connect({
      fileSync: {
        async *diffCopy(requests) {
          yield regular('a', 3n);
          yield { type: PACKET_STAT };
          for await (const { type, ID } of requests) {
            if (type === PACKET_REQ) {
              asked.push(ID);
              yield { type: PACKET_DATA, ID, data: Buffer.from('abc') };
              yield { type: PACKET_DATA, ID };
            } else if (type === PACKET_FIN) yield { type: PACKET_FIN };
          }
        },
      },
    });
    const ids = [];
    for (let time = 0; time < 2; time++) {
      await using directory = await fetch(session);
      ids.push(directory.id);
      expect(readdirSync(directory.root)).toEqual(['a']);
    }
    expect(asked).toEqual([0]);
    expect(ids[1]).toBe(ids[0]);
    // In use it is nobody else's; what is changed meanwhile is not in it.
    await using first = await fetch(session);
    await using second = await fetch(session);
    expect(second.root).not.toBe(first.root);
    writeFileSync(join(second.root, 'b'), '');
    expect(readdirSync(first.root)).toEqual(['a']);
  });

  it.each([
    ['wrong numbers', [{ type: PACKET_DATA, ID: 9, data: Buffer.from('x') }], 'invalid file request 9'],
    ['paths that lead out', [regular('../x', 1n)], 'invalid path'],
    [
      'too many files',
      Array.from({ length: 11 }, (_, at) => regular(`${10 + at}`, 0n)),
      'more than 10 files',
    ],
    ['an end before the end', [regular('a', 3n), { type: PACKET_FIN }], 'ended before its last file'],
    ['nothing at all', [], 'before its end'],
  ])('is refused with %s', async (_what, packets, message) => {
    const told: string[] = [];
    const { session } = await connect({
      fileSync: {
        async *diffCopy(requests) {
          yield* packets;
          if (packets.length === 0) return;
          for await (const { type, data } of requests) {
            if (type === PacketType.PACKET_ERR) told.push(Buffer.from(data).toString());
          }
        },
      },
    });
    await expect(fetch(session)).rejects.toThrow(message);
    expect(readdirSync(folder)).toEqual(['contexts']);
    expect((await directories.usage()).every(({ inUse }) => !inUse)).toBe(true);
  });

  it('is received beside others only as long as it is the few files that were asked for', async () => {
    const opened: boolean[] = [];
    const open = receivers.open.bind(receivers);
    receivers.open = (root, given, replies, how) => {
      opened.push(how?.shared ?? false);
      return open(root, given, replies, how);
    };
    sessions = new SessionManager({
      directories,
      receivers,
      limits: { maxBytes: 10_000, maxEntries: 1000 },
      patienceMs: 0,
    });
    let names = ['Dockerfile'];
    const { session } = await connect({
      fileSync: {
        async *diffCopy(requests) {
          for (const name of names) yield regular(name, 0n);
          yield { type: PACKET_STAT };
          for await (const { type, ID } of requests) {
            if (type === PACKET_REQ) yield { type: PACKET_DATA, ID };
            else if (type === PACKET_FIN) yield { type: PACKET_FIN };
            else return;
          }
        },
      },
    });
    const received = async (followPaths: readonly string[]) => {
      opened.length = 0;
      const request = { name: 'dockerfile', includePatterns: [], excludePatterns: [], followPaths };
      await using directory = await session.directory({ ...request, everything: true }, { signal });
      return { id: directory.id, files: readdirSync(directory.root).length, opened: [...opened] };
    };
    const few = await received(['Dockerfile']);
    expect(few).toMatchObject({ files: 1, opened: [true] });
    names = Array.from({ length: 150 }, (_, at) => `${100 + at}`);
    const many = await received(['Dockerfile']);
    expect(many).toMatchObject({ files: 150, opened: [true, false] });
    expect(many.id).not.toBe(few.id);
    expect(await received([])).toMatchObject({ files: 150, opened: [false] });
    names = Array.from({ length: 1001 }, (_, at) => `${1000 + at}`);
    await expect(received(['Dockerfile'])).rejects.toThrow('more than 1000 files');
    expect(opened).toEqual([true, false]);
  });

  it('that never comes is given up with the build', async () => {
    const { session } = await connect({
      fileSync: {
        diffCopy: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
      },
    });
    const controller = new AbortController();
    const request = { name: 'context', includePatterns: [], excludePatterns: [], followPaths: [] };
    const directory = session.directory(request, { signal: controller.signal });
    setTimeout(() => controller.abort(), 30);
    const error = await directory.catch((thrown: unknown) => thrown);
    expect(isKind(error, 'canceled')).toBe(true);
    expect((await directories.usage()).every(({ inUse }) => !inUse)).toBe(true);
  });
});
