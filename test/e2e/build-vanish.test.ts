import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { buildLeftovers } from './harness/build-leftovers.ts';
import { buildKitProgram } from './harness/buildkitd.ts';
import { run } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** BuildKit's client is killed in the middle of each thing that a build does: nothing of the build stays. */

const MIB = 1024 ** 2;
let slipway: Slipway;
let registry: MuteRegistry;
let client: ChildProcess | undefined;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker', buildkit: true });
  await slipway.dockerOk('load', '-i', await busyboxArchive());
  registry = await MuteRegistry.open();
});

afterAll(async () => {
  registry?.close();
  await slipway?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  if (client) await end(client);
  await expect.poll(() => buildLeftovers(slipway), { timeout: 60_000 }).toEqual([]);
});

async function end(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  process.kill('SIGKILL');
  await once(process, 'exit');
}

/** A build of a Dockerfile, and what it has said so far. */
function build(name: string, dockerfile: string[], output: string[] = [], large = 0) {
  const context = join(slipway.folder, name);
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), dockerfile.join('\n'));
  if (large > 0) {
    writeFileSync(join(context, 'large'), '');
    truncateSync(join(context, 'large'), large);
  }
  const args = ['--addr', slipway.buildkit, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
  args.push('--local', `context=${context}`, '--local', `dockerfile=${context}`, ...output);
  client = spawn(buildKitProgram('buildctl'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said: string[] = [];
  for (const stream of [client.stdout!, client.stderr!])
    stream.setEncoding('utf8').on('data', (data: string) => said.push(data));
  return {
    said: () => said.join(''),
    vanish: () => end(client!),
  };
}

it('while it sends its files', async () => {
  const { said, vanish } = build('sending', ['FROM busybox', 'COPY large /'], [], 256 * MIB);
  await expect.poll(said, { timeout: 60_000, interval: 5 }).toContain('transferring context');
  await vanish();
});

it('while an image is asked for', async () => {
  const { vanish } = build('resolving', [`FROM ${registry.address}/image`]);
  const asked = await registry.connection();
  await vanish();
  await asked.closed;
});

it('while a command runs', async () => {
  const sleeper = `sleep 62${process.pid}`;
  const { said, vanish } = build('running', ['FROM busybox', `RUN echo it-runs; ${sleeper}`]);
  await expect.poll(said, { timeout: 60_000 }).toMatch(/^#\d+ [\d.]+ it-runs/m);
  await vanish();
  const sleeps = async () => (await run('pgrep', ['-f', sleeper], { env: process.env })).code === 0;
  await expect.poll(sleeps, { timeout: 60_000 }).toBe(false);
});

// A layer that is being compressed is finished: the next build wants it.
it('while its image is written', async () => {
  const layer = 'RUN dd if=/dev/urandom of=/random bs=1M count=40 2>/dev/null';
  const output = ['--output', `type=oci,dest=${join(slipway.folder, 'image.tar')}`];
  const { said, vanish } = build('exporting', ['FROM busybox', layer], output);
  await expect.poll(said, { timeout: 60_000, interval: 5 }).toContain('exporting layers');
  await vanish();
});

it('while its image is pushed', async () => {
  const output = ['--output', `type=image,name=${registry.address}/pushed,push=true`];
  const { vanish } = build('pushing', ['FROM busybox', 'RUN echo pushed > /pushed'], output);
  const asked = await registry.connection();
  await vanish();
  await asked.closed;
});

it('while it gets files', async () => {
  const files = ['FROM scratch', 'COPY large /'];
  const output = ['--output', `type=local,dest=${join(slipway.folder, 'files')}`];
  const { said, vanish } = build('getting', files, output, 128 * MIB);
  await expect.poll(said, { timeout: 60_000, interval: 5 }).toContain('copying files');
  await vanish();
});

it('while a command has its secret', async () => {
  const script = 'RUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null; echo has-it; sleep 1000';
  const secret = join(slipway.folder, 'secret');
  writeFileSync(secret, 'secret');
  const { said, vanish } = build('knowing', ['FROM busybox', script], ['--secret', `id=s,src=${secret}`]);
  await expect.poll(said, { timeout: 60_000 }).toMatch(/^#\d+ [\d.]+ has-it/m);
  await vanish();
});

it('while its cache is sent to another registry', async () => {
  const to = ['--export-cache', `type=registry,ref=${registry.address}/cache,mode=max`];
  const { vanish } = build('caching', ['FROM busybox', 'RUN echo cached > /cached'], to);
  const asked = await registry.connection();
  await vanish();
  await asked.closed;
});

it('while it gets an archive of files', async () => {
  const layer = 'RUN dd if=/dev/urandom of=/random bs=1M count=41 2>/dev/null';
  const output = ['--output', `type=tar,dest=${join(slipway.folder, 'files.tar')}`];
  const { said, vanish } = build('archiving', ['FROM busybox', layer], output);
  await expect.poll(said, { timeout: 60_000, interval: 5 }).toMatch(/sending tarball|exporting/);
  await vanish();
});

it('and the next client is served as if nothing had been', async () => {
  const { said } = build('after', ['FROM busybox', 'RUN echo still-here > /file']);
  await once(client!, 'exit');
  expect(client!.exitCode, said()).toBe(0);
});

/** Takes connections and says nothing. */
class MuteRegistry {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #next = Promise.withResolvers<{ closed: Promise<unknown> }>();

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      const closed = once(socket, 'close');
      socket.on('error', () => {}).resume();
      this.#next.resolve({ closed });
      this.#next = Promise.withResolvers();
    });
  }

  static async open(): Promise<MuteRegistry> {
    const registry = new MuteRegistry();
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    return registry;
  }

  get address(): string {
    const address = this.#server.address();
    return `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  }

  /** The next one that is made; `closed` resolves when the other side has ended it. */
  connection(): Promise<{ closed: Promise<unknown> }> {
    return this.#next.promise;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
