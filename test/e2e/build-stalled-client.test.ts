import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { encodeEntry } from '#tar/writer.ts';
import { Packet_PacketType as PacketType } from '#worker/buildkit/proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { buildLeftovers } from './harness/build-leftovers.ts';
import { buildKitProgram } from './harness/buildkitd.ts';
import { run } from './harness/command.ts';
import { freePorts } from './harness/free-port.ts';
import { attack, type PacketInit, stat } from './harness/hostile-client.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/**
 * Clients that are connected and let their builds wait, and clients whose connection is lost without a word. All at once:
 * each is waited for.
 */

const MIB = 1024 ** 2;
const WAITED = /the client has left the build waiting for 6 seconds/;
const never = () => new Promise<never>(() => {});
/** Replies that never come. */
const silent = (): AsyncIterable<never> => ({ [Symbol.asyncIterator]: () => ({ next: never }) });

let slipway: Slipway;
let tcp: number;

beforeAll(async () => {
  [tcp] = (await freePorts(1)) as [number];
  slipway = await startSlipway({
    command: 'worker',
    env: {
      SLIPWAY_WORKER_BUILDKIT_LISTEN: `["tcp://127.0.0.1:${tcp}"]`,
      SLIPWAY_WORKER_BUILDKIT_KEEP_ALIVE: '5s',
      SLIPWAY_WORKER_BUILD_CLIENT_TIMEOUT: '6s',
    },
  });
  await slipway.dockerOk('load', '-i', await busyboxArchive());
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

const telling = (...packets: PacketInit[]) =>
  async function* (): AsyncGenerator<PacketInit> {
    yield* packets;
    await never();
  };

describe('a build is not left waiting', () => {
  afterAll(nothingStays);

  const COPY = 'FROM scratch\nCOPY . /\n';
  const end: PacketInit = { type: PacketType.PACKET_STAT };
  const data: PacketInit = { type: PacketType.PACKET_DATA, ID: 0, data: Buffer.from('x') };
  const exported = { dockerfile: 'FROM busybox\nRUN head -c 40000000 /dev/urandom > /large\n' };

  it.concurrent.each<[string, Parameters<typeof attack>[1]]>([
    ['for a context', { dockerfile: COPY, context: telling() }],
    ['between files', { dockerfile: COPY, context: telling(stat('a', 3)) }],
    ['within a file', { dockerfile: COPY, context: telling(stat('a', 3), end, data) }],
    [
      'for a secret',
      {
        dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=s true\n',
        secrets: { getSecret: never },
      },
    ],
    [
      'for an agent',
      {
        dockerfile: 'FROM busybox\nRUN --mount=type=ssh true\n',
        ssh: { checkAgent: never, forwardAgent: silent },
      },
    ],
    [
      'for an upload',
      { dockerfile: COPY, options: { context: 'http://buildkit-session/x' }, upload: { pull: silent } },
    ],
    [
      'by one who takes no archive',
      { ...exported, exporter: { type: 'tar' }, fileSend: { diffCopy: silent } },
    ],
    [
      'by one who takes no files',
      { ...exported, exporter: { type: 'local' }, fileSend: { diffCopy: silent } },
    ],
  ])('%s', async (_what, tricks) => {
    await using client = await attack(slipway.socket, tricks);
    expect(String(await client.over)).toMatch(WAITED);
  });

  it.concurrent('for what it needs to log in to a registry: not more than once', async () => {
    let asked = 0;
    const silence = () => {
      asked++;
      return never();
    };
    const registry = createServer((socket) => {
      const challenge = 'Bearer realm="http://127.0.0.1:1/token",service="s"';
      socket
        .on('error', () => {})
        .end(`HTTP/1.1 401 No\r\nwww-authenticate: ${challenge}\r\ncontent-length: 0\r\n\r\n`);
    });
    const port = await listening(registry);
    try {
      await using client = await attack(slipway.socket, {
        dockerfile: `FROM 127.0.0.1:${port}/image\n`,
        auth: {
          credentials: silence,
          fetchToken: silence,
          getTokenAuthority: silence,
          verifyTokenAuthority: silence,
        },
      });
      expect(String(await client.over)).toMatch(WAITED);
      expect(asked).toBe(1);
    } finally {
      registry.close();
    }
  });

  it.concurrent.each([
    ['for the context of a classic build', ''],
    ['for the context of a build that comes as one request', '?version=2'],
  ])('%s', async (_what, query) => {
    const asking = request({ socketPath: slipway.socket, method: 'POST', path: `/v1.41/build${query}` });
    asking.on('error', () => {});
    const entry = { path: 'Dockerfile', type: 'file', mode: 0o644, uid: 0, gid: 0, size: 13 } as const;
    asking.write(Buffer.concat([encodeEntry({ ...entry, mtime: 0 }), Buffer.from('FROM')]));
    const [answer] = (await once(asking, 'response')) as [IncomingMessage];
    expect(await text(answer)).toMatch(WAITED);
    asking.destroy();
  });

  it.concurrent('but for a command', async () => {
    await using client = await attack(slipway.socket, { dockerfile: 'FROM busybox\nRUN sleep 8\n' });
    expect(await client.over).toBeUndefined();
  });
});

describe('a client that is lost without a word', () => {
  afterAll(nothingStays);

  it.concurrent('takes the command of its build along', async () => {
    const sleeper = `sleep 63${process.pid}`;
    await using client = await LostClient.build('running', ['FROM busybox', `RUN echo it-runs; ${sleeper}`]);
    await vi.waitFor(() => expect(client.said()).toMatch(/^#\d+ [\d.]+ it-runs/m), { timeout: 60_000 });
    const sleeps = async () => (await run('pgrep', ['-f', sleeper], { env: process.env })).code === 0;
    expect(await sleeps()).toBe(true);
    client.lose();
    await vi.waitFor(async () => expect(await sleeps()).toBe(false), { timeout: 60_000, interval: 200 });
  });

  it.concurrent('ends the transfer of its context', async () => {
    const lines = ['FROM busybox', 'COPY large /'];
    await using client = await LostClient.build('sending', lines, { large: 512 * MIB });
    await vi.waitFor(() => expect(client.said()).toContain('transferring context'), {
      timeout: 60_000,
      interval: 5,
    });
    client.lose();
    await client.dropped();
  });

  it.concurrent('ends the transfer of its files', async () => {
    const output = ['--output', `type=local,dest=${join(slipway.folder, 'files')}`];
    await using client = await LostClient.build('getting', ['FROM scratch', 'COPY large /'], {
      large: 64 * MIB,
      output,
    });
    await vi.waitFor(() => expect(client.said()).toContain('copying files'), {
      timeout: 60_000,
      interval: 5,
    });
    client.lose();
    await client.dropped();
  });
});

async function nothingStays(): Promise<void> {
  await vi.waitFor(() => expect(buildLeftovers(slipway)).toEqual([]), { timeout: 60_000, interval: 100 });
}

function listening(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
}

/** A build by buildctl, over a line that can be cut: then nothing passes in either direction, and nobody is told. */
class LostClient implements AsyncDisposable {
  readonly #line: Server;
  readonly #sockets = new Set<Socket>();
  readonly #uplinks = new Set<Socket>();
  #client: ChildProcess | undefined;
  #said = '';

  static async build(
    name: string,
    lines: string[],
    { large = 0, output = [] as string[] } = {},
  ): Promise<LostClient> {
    const context = join(slipway.folder, name);
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), lines.join('\n'));
    if (large > 0) {
      writeFileSync(join(context, 'large'), '');
      truncateSync(join(context, 'large'), large);
    }
    const client = new LostClient();
    const address = `tcp://127.0.0.1:${await listening(client.#line)}`;
    const args = ['--addr', address, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
    client.#start([...args, '--local', `context=${context}`, '--local', `dockerfile=${context}`, ...output]);
    return client;
  }

  private constructor() {
    this.#line = createServer((socket) => {
      const uplink = connect(tcp, '127.0.0.1');
      this.#uplinks.add(uplink);
      uplink.once('close', () => this.#uplinks.delete(uplink));
      this.#connect(socket, uplink);
      this.#connect(uplink, socket);
    });
  }

  readonly said = () => this.#said;

  lose(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  /** Resolves when the worker has given up all connections, which it is not asked to. */
  async dropped(): Promise<void> {
    for (const uplink of this.#uplinks) uplink.resume();
    await vi.waitFor(() => expect(this.#uplinks.size).toBe(0), { timeout: 60_000, interval: 100 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const client = this.#client;
    client?.kill('SIGKILL');
    if (client && client.exitCode === null && client.signalCode === null) await once(client, 'exit');
    for (const socket of this.#sockets) socket.destroy();
    this.#line.close();
  }

  #connect(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.once('close', () => this.#sockets.delete(from));
    from.on('error', () => from.destroy());
    from.pipe(to);
  }

  #start(args: string[]): void {
    this.#client = spawn(buildKitProgram('buildctl'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#client.stdout!, this.#client.stderr!])
      stream.setEncoding('utf8').on('data', (data: string) => {
        this.#said += data;
      });
  }
}
