import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Packet_PacketType as PacketType } from '#worker/buildkit/proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import { createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { buildLeftovers } from './harness/build-leftovers.ts';
import { buildKitProgram } from './harness/buildkitd.ts';
import { run } from './harness/command.ts';
import { type Attack, attack, type PacketInit, stat } from './harness/hostile-client.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** Clients that serve their builds with lies, too much, or nothing: each costs its own build alone. */

const { PACKET_STAT, PACKET_REQ, PACKET_DATA, PACKET_FIN } = PacketType;
const MIB = 1024 ** 2;
const COPY = 'FROM scratch\nCOPY . /\n';
const never = () => new Promise<never>(() => {});
const hang = (heard: () => void) => {
  heard();
  return never();
};

let slipway: Slipway;
let running: Attack | undefined;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker', buildkit: true });
  await slipway.dockerOk('load', '-i', await busyboxArchive());
});
afterEach(async () => {
  running?.vanish();
  await expect.poll(() => buildLeftovers(slipway), { timeout: 60_000 }).toEqual([]);
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

async function begin(tricks: Parameters<typeof attack>[1]): Promise<Attack> {
  running = await attack(slipway.socket, tricks);
  return running;
}

/** All packets at once, whatever the other side says; then it listens until that ends. */
const telling = (...packets: PacketInit[]) =>
  async function* (from: AsyncIterable<unknown>): AsyncGenerator<PacketInit> {
    yield* packets;
    for await (const _ of from) {
      // Nothing it could say changes anything.
    }
  };

/** Replies without a message, which are not over before `task` is. */
const silent = (task: Promise<unknown>): AsyncIterable<never> => ({
  [Symbol.asyncIterator]: () => ({ next: () => task.then(() => ({ done: true, value: undefined })) }),
});

const data = (ID: number, text: string): PacketInit => ({ type: PACKET_DATA, ID, data: Buffer.from(text) });
const eof = (ID: number): PacketInit => ({ type: PACKET_DATA, ID });
const end: PacketInit = { type: PACKET_STAT };
const directory = { mode: 2 ** 31 + 0o755 };
/** Bytes of the worker that are in memory. */
const memory = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${slipway.pid}/status`, 'utf8'))![1]) * 1024;
const contexts = () => readdirSync(join(slipway.folder, 'data/worker/builds/contexts'));

describe('a context', () => {
  it.each<[string, PacketInit[], RegExp]>([
    ['an id that was not asked for', [stat('a', 3), end, data(7, 'x')], /invalid file request 7/],
    ['contents of a directory', [stat('d', 0, directory), end, data(0, 'x')], /invalid file request 0/],
    [
      'contents after their end',
      [stat('a', 1), end, data(0, 'x'), eof(0), data(0, 'y')],
      /invalid file request|after the last/,
    ],
    ['two files of one name', [stat('a', 1), stat('a', 1)], /not in order/],
    ['files out of order', [stat('b', 1), stat('a', 1)], /not in order/],
    ['an absolute path', [stat('/etc/passwd', 1)], /invalid path/],
    ['a path out of it', [stat('d', 0, directory), stat('d/../../x', 1)], /invalid path/],
    [
      'a file below a link',
      [stat('l', 0, { mode: 2 ** 27 + 0o777, linkname: '/tmp' }), stat('l/x', 1)],
      /without its directory/,
    ],
    ['a hard link out of it', [stat('z', 0, { linkname: '../../state.json' }), end], /invalid path|no file/],
    ['an end before the end', [stat('a', 3), end, { type: PACKET_FIN }], /ended before its last file/],
    ['a request of its own', [{ type: PACKET_REQ, ID: 0 }], /unexpected packet/],
    [
      'a packet of 17 MiB',
      [stat('a', 3), end, { type: PACKET_DATA, ID: 0, data: new Uint8Array(17 * MIB) }],
      /larger than max/,
    ],
    [
      'an attribute of 128 KiB',
      [stat('a', 0, { xattrs: { 'user.big': new Uint8Array(128 * 1024) } }), end],
      /attribute/,
    ],
    ['a name of 300 bytes', [stat('n'.repeat(300), 1)], /invalid path/],
    ['a size below nothing', [stat('a', -1), end], /invalid size/],
  ])('with %s is refused', async (_what, packets, message) => {
    const { over } = await begin({ dockerfile: COPY, context: telling(...packets) });
    expect(String(await over)).toMatch(message);
    expect(slipway.output).not.toContain('failed unexpectedly');
  });

  it.each([
    ['less', 'x'],
    ['more', 'x'.repeat(50)],
  ])('whose file has %s than it says is what was sent', async (_what, content) => {
    const lying = async function* (from: AsyncIterable<{ type: PacketType; ID: number }>) {
      yield stat('a', 10);
      yield end;
      for await (const { type, ID } of from) {
        if (type === PACKET_REQ) yield* [data(ID, content), eof(ID)];
        else if (type === PACKET_FIN) yield { type: PACKET_FIN };
      }
    };
    const files: string[] = [];
    const { over } = await begin({
      dockerfile: COPY,
      context: lying,
      exporter: { type: 'tar' },
      fileSend: {
        diffCopy: (messages) =>
          silent(
            (async () => {
              for await (const { data } of messages) files.push(Buffer.from(data).toString('latin1'));
            })(),
          ),
      },
    });
    expect(await over).toBeUndefined();
    expect(files.join('')).toContain(`${content}\0`);
  });

  it('of files without end, none of which is asked to be sent, takes no memory to speak of', async () => {
    const before = memory();
    let sent = 0;
    const endless = async function* (): AsyncGenerator<PacketInit> {
      // Nobody reads what the other side asks for.
      for (; sent < 100_000; sent++) yield stat(`f${String(sent).padStart(8, '0')}`, 1);
      await never();
    };
    const { over, cancel } = await begin({ dockerfile: COPY, context: endless });
    await expect.poll(() => sent, { timeout: 120_000 }).toBe(100_000);
    expect(memory() - before).toBeLessThan(150 * MIB);
    cancel();
    expect(String(await over)).toMatch(/cancel/);
  });

  it.each([
    ['says nothing', () => []],
    ['stops between files', () => [stat('a', 3)]],
    ['stops within a file', () => [stat('a', 3), end, data(0, 'x')]],
  ])('that %s is given up when its build is', async (_what, packets) => {
    for (const leave of ['cancel', 'vanish'] as const) {
      const attacking = await begin({ dockerfile: COPY, context: telling(...packets()) });
      await expect.poll(contexts, { timeout: 60_000 }).not.toEqual([]);
      await sleep(200);
      attacking[leave]();
      expect(await attacking.over).toBeInstanceOf(Error);
    }
  });
});

describe('what is never answered', () => {
  const RUN = 'FROM busybox\nRUN --mount=type=secret,id=s --mount=type=ssh true\n';
  const upload = { context: 'http://buildkit-session/x' };
  const asked = () => Promise.withResolvers<void>();

  it.each<
    [
      string,
      (asked: () => void) => Omit<Parameters<typeof attack>[1], 'dockerfile'> & { dockerfile?: string },
    ]
  >([
    ['a secret', (heard) => ({ dockerfile: RUN, secrets: { getSecret: () => hang(heard) } })],
    [
      'an agent',
      (heard) => ({
        dockerfile: RUN,
        secrets: { getSecret: async () => ({ data: Buffer.from('s') }) },
        ssh: { checkAgent: () => hang(heard), forwardAgent: () => never() as never },
      }),
    ],
    [
      'an upload',
      (heard) => ({
        options: upload,
        upload: {
          pull() {
            heard();
            return silent(never());
          },
        },
      }),
    ],
    [
      'a file that is exported',
      (heard) => ({
        dockerfile: 'FROM busybox\n',
        exporter: { type: 'tar' },
        fileSend: {
          diffCopy() {
            heard();
            return silent(never());
          },
        },
      }),
    ],
  ])('%s, ends with its build', async (_what, tricks) => {
    for (const leave of ['cancel', 'vanish'] as const) {
      const heard = asked();
      const attacking = await begin({ dockerfile: COPY, ...tricks(heard.resolve) });
      const ended = attacking.over.then((error) => Promise.reject(error ?? new Error('it has succeeded')));
      await Promise.race([heard.promise, ended]);
      ended.catch(() => undefined);
      attacking[leave]();
      expect(await attacking.over).toBeInstanceOf(Error);
      await expect.poll(() => buildLeftovers(slipway), { timeout: 60_000 }).toEqual([]);
    }
  });

  it('while files are exported: they wait on the disk, not in memory', async () => {
    const heard = asked();
    const before = memory();
    const attacking = await begin({
      dockerfile: 'FROM busybox\nRUN head -c 400000000 /dev/urandom > /large\n',
      exporter: { type: 'tar' },
      fileSend: {
        diffCopy: (messages) =>
          silent(
            messages[Symbol.asyncIterator]()
              .next()
              .then(() => hang(heard.resolve)),
          ),
      },
    });
    await Promise.race([heard.promise, attacking.over]);
    await sleep(2_000);
    expect(memory() - before).toBeLessThan(200 * MIB);
    attacking.cancel();
    expect(String(await attacking.over)).toMatch(/cancel/);
  });
});

describe('a line without an end', () => {
  const FILE = 'FROM busybox\nRUN dd if=/dev/zero bs=64k count=4600 2>/dev/null\n';

  /** How much more memory the worker has had meanwhile, at most. */
  async function growth(task: () => Promise<unknown>): Promise<number> {
    const before = memory();
    let most = before;
    const looking = setInterval(() => {
      most = Math.max(most, memory());
    }, 20);
    try {
      await task();
    } finally {
      clearInterval(looking);
    }
    return most - before;
  }

  it.each(['plain', 'rawjson'])('is clipped for buildx, which shows it as %s', async (progress) => {
    using clients = createClients(`unix://${slipway.socket}`);
    let shown = '';
    const more = await growth(async () => {
      const args = ['build', '--no-cache', '--progress', progress, '-'];
      const built = await clients.buildx(args, { input: FILE });
      expect(built.code, built.stderr.slice(-2_000)).toBe(0);
      shown = built.stdout + built.stderr;
    });
    expect(shown.length).toBeGreaterThan(2 * MIB);
    expect(shown.length).toBeLessThan(8 * MIB);
    expect(more).toBeLessThan(200 * MIB);
  });

  it('is clipped for the classic builder', async () => {
    let shown = '';
    const more = await growth(async () => {
      const built = await slipway.docker(['build', '--no-cache', '-'], { input: FILE });
      expect(built.code, built.stderr.slice(-2_000)).toBe(0);
      shown = built.stdout;
    });
    expect(shown.length).toBeGreaterThan(2 * MIB);
    expect(shown.length).toBeLessThan(8 * MIB);
    expect(more).toBeLessThan(200 * MIB);
  });
});

it('targets that bake builds on each other are refused where they go round in circles', async () => {
  using clients = createClients(`unix://${slipway.socket}`);
  const target = (other: string) => ({
    context: '.',
    'dockerfile-inline': `FROM ${other}\n`,
    contexts: { [other]: `target:${other}` },
  });
  const file = JSON.stringify({ target: { one: target('two'), two: target('one') } });
  const baked = await clients.buildx(['bake', '--file', '-', 'one'], { input: file });
  expect(baked.code).toBe(1);
  expect(baked.stderr).toMatch(/infinite loop/);
});

it('and the next client is served as if nothing had been', async () => {
  const context = join(slipway.folder, 'good');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nCOPY Dockerfile /\nRUN cat /Dockerfile\n');
  const args = ['--addr', slipway.buildkit, 'build', '--frontend', 'dockerfile.v0'];
  args.push('--local', `context=${context}`, '--local', `dockerfile=${context}`);
  const { code, stderr } = await run(buildKitProgram('buildctl'), args);
  expect(code, stderr).toBe(0);
});
