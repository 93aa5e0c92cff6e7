import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { notFound, unavailable } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import { hostPlatform } from '#oci/platform.ts';
import { sharedLayers } from '#worker/build/drivers/source/shared-layers-source.ts';
import { SHARED_LAYERS } from '#worker/build/export/shared-layers-exporter.ts';
import type { ExecOp } from '#worker/build/llb/op.ts';
import { type Vertex, vertex } from '#worker/build/llb/vertex.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import type { BuildLimits } from '#worker/build/solve/op-driver.ts';
import { type DirectoryRef, EMPTY, type LayersRef } from '#worker/build/solve/ref.ts';
import { Code, GrpcError, toGrpcError } from '#worker/buildkit/grpc/grpc-error.ts';
import { GrpcServer } from '#worker/buildkit/grpc/grpc-server.ts';
import { PeerSteps, type PeerStepsPorts } from '#worker/buildkit/peer/peer-steps.ts';
import type { PeerWish } from '#worker/buildkit/peer/peer-workers.ts';
import { Control } from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';

const ROOT = { type: 'bind', dest: '/', input: 0, output: 0 } as const;
const log = pino({ enabled: false });
const DONE = { [SHARED_LAYERS]: '[]' };
const LIMITS: BuildLimits = { entitlements: new Set() };
/** No machine is that. */
const FOREIGN = { os: 'linux', architecture: 'tables' };

const BASE = vertex({ kind: 'source', identifier: 'docker-image://base', attrs: {} }, [], {
  metadata: { name: 'base' },
});

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-'));
});
afterAll(() => rm(directory, { recursive: true }));

function command(changes: Partial<ExecOp> = {}, platform = FOREIGN, input: Vertex = BASE): Vertex<ExecOp> {
  const op: ExecOp = {
    kind: 'exec',
    args: ['true'],
    env: [],
    cwd: '/',
    user: '',
    network: 'default',
    security: 'sandbox',
    mounts: [ROOT],
    ...changes,
  };
  return vertex(op, [{ vertex: input, output: 0 }], { platform, metadata: { name: 'RUN true' } });
}

function steps(ports: Partial<PeerStepsPorts> = {}): PeerSteps {
  const shared = { bring: async () => [], ref: () => EMPTY };
  const local = { require: async () => undefined, import: async () => EMPTY };
  const peers = { find: async () => undefined };
  return new PeerSteps({ peers, shared, local, directory, log, ...ports });
}

function context(offered: Partial<BuildSession> = {}) {
  const { signal } = new AbortController();
  const session = { id: 'session', sharedKey: 'project', ...offered } as BuildSession;
  const shown: string[] = [];
  const progress = { status: ({ name }: { name: string }) => void shown.push(name), log: async () => {} };
  return { context: { session, progress, signal }, shown };
}

/** Workers to which no connection comes about. */
function unreachable(names: readonly string[]) {
  const wishes: PeerWish[] = [];
  const find = async (wish: PeerWish) => {
    wishes.push(wish);
    const name = names.find((each) => !wish.without.includes(each));
    if (name === undefined) return undefined;
    const connect = async () => {
      throw unavailable('it is not there');
    };
    return { name, connect, lost: never };
  };
  return { peers: { find }, wishes };
}

const never = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

/** The two ends of a connection. */
async function sockets(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const ours = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[theirs]] = await Promise.all([once(server, 'connection'), once(ours, 'connect')]);
  server.close();
  return [ours, theirs as Socket];
}

/** Workers that are there, and do with each step what `solve` does. */
function reachable(solve: (name: string, connection: Socket) => Promise<Record<string, string>>) {
  const asked: string[] = [];
  const find = async ({ without }: PeerWish) => {
    const name = `worker-${without.length}`;
    const connecting = async (path: string) => {
      const [ours, theirs] = await sockets();
      if (path === '/session') {
        theirs.resume();
        return ours;
      }
      const server = new GrpcServer({ toError: toGrpcError, log });
      server.add(Control, {
        async solve() {
          asked.push(name);
          return { ExporterResponse: await solve(name, theirs) };
        },
        async *status() {},
      });
      server.accept(theirs);
      return ours;
    };
    return { name, connect: connecting, lost: never };
  };
  return { peers: { find }, asked };
}

describe('what another worker is asked for', () => {
  const isForeign = (of: Vertex, limits = LIMITS) => steps().isForeign({ vertex: of, limits });

  it('is a command for another platform that can be told in full', () => {
    expect(isForeign(command())).toBe(true);
    const file = vertex({ kind: 'file', actions: [] }, [], { platform: FOREIGN, metadata: { name: '' } });
    expect(isForeign(file)).toBe(false);
    expect(isForeign(command({}, hostPlatform()))).toBe(false);
    // It was asked for by another worker, which would be asked in turn.
    const asked = vertex(sharedLayers([]), [], { metadata: { name: '' } });
    expect(isForeign(command({}, FOREIGN, asked))).toBe(false);
    const second = { type: 'bind', dest: '/more', output: 1 } as const;
    const untold: readonly Partial<ExecOp>[] = [
      { network: 'own' },
      // Of this machine, not of another one.
      { network: 'host' },
      { security: 'insecure' },
      { volumes: ['/data'] },
      { mounts: [ROOT, second] },
      { mounts: [{ ...ROOT, output: 3 }] },
      { mounts: [{ ...ROOT, readonly: true }] },
    ];
    for (const only of untold) {
      expect(isForeign(command(only)), JSON.stringify(only)).toBe(false);
    }
    expect(isForeign(command(), { ...LIMITS, resources: { memory: 7 } })).toBe(true);
    expect(isForeign(command(), { ...LIMITS, resources: { nanoCpus: 7 } })).toBe(false);
    expect(isForeign(command(), { ...LIMITS, cgroupParent: 'x' })).toBe(false);
  });
});

describe('a command for another platform', () => {
  const step = { vertex: command(), inputs: [EMPTY], limits: LIMITS };

  it('is left to this machine where no worker is of that platform', async () => {
    const { peers, wishes } = unreachable([]);
    expect(await steps({ peers }).run(step, context().context)).toBeUndefined();
    expect(wishes).toEqual([{ platform: 'linux/tables', affinity: 'project', without: [] }]);
  });

  it('is asked of one worker after the other, and fails with the name of the last one', async () => {
    const { peers, wishes } = unreachable(['one', 'two']);
    const { context: given, shown } = context();
    await expect(steps({ peers }).run(step, given)).rejects.toMatchObject({
      kind: 'unavailable',
      message: 'two, which did this step for linux/tables, was lost, and no other worker does',
    });
    expect(wishes.map(({ without }) => without)).toEqual([[], ['one'], ['one', 'two']]);
    expect([...new Set(shown)]).toEqual([
      'done by one, which is linux/tables',
      'done by two, which is linux/tables',
    ]);
  });

  it('is not tried for ever', async () => {
    const { peers, wishes } = unreachable(['one', 'two', 'three', 'four', 'five']);
    await expect(steps({ peers }).run(step, context().context)).rejects.toThrow('three, which did this step');
    expect(wishes).toHaveLength(3);
  });

  it('has what it stands on brought to the cache, from another registry if need be', async () => {
    const { peers } = unreachable(['one']);
    const done: string[] = [];
    const input: LayersRef = { kind: 'layers', layers: [{ diffId: digestOf('layer') }] };
    const shared = {
      ref: () => EMPTY,
      async bring() {
        done.push('brought');
        if (done.length === 1) throw notFound('it is not here');
        return [];
      },
    };
    const local = {
      import: async () => EMPTY,
      async require() {
        done.push('fetched');
      },
    };
    const asked = steps({ peers, shared, local }).run({ ...step, inputs: [input] }, context().context);
    await expect(asked).rejects.toThrow('one, which did this step');
    expect(done).toEqual(['brought', 'fetched', 'brought']);
  });

  it('fails clearly where the cache takes nothing', async () => {
    const { peers } = unreachable(['one']);
    const bring = async () => {
      throw unavailable('no room');
    };
    const asked = steps({ peers, shared: { bring, ref: () => EMPTY } }).run(step, context().context);
    await expect(asked).rejects.toThrow('the build cache does not take what a step stands on: no room');
  });
});

describe('a worker that answers', () => {
  const step = { vertex: command(), inputs: [EMPTY], limits: LIMITS };

  it('does the step', async () => {
    const { peers, asked } = reachable(async () => DONE);
    const done = await steps({ peers }).run(step, context().context);
    expect(done).toEqual({ outputs: [EMPTY], reused: false });
    expect(asked).toEqual(['worker-0']);
  });

  it('is not lost, whatever it says: the command has run', async () => {
    for (const code of [Code.unavailable, Code.cancelled, Code.unknown]) {
      const { peers, asked } = reachable(async () => {
        throw new GrpcError(code, 'the cache cannot be had');
      });
      const run = steps({ peers }).run(step, context().context);
      await expect(run).rejects.toThrow('the cache cannot be had');
      expect(asked, `code ${code}`).toEqual(['worker-0']);
    }
  });

  it('is lost when its connection breaks: another one does the step', async () => {
    const { peers, asked } = reachable(async (name, connection) => {
      if (name === 'worker-2') return DONE;
      connection.destroy();
      return DONE;
    });
    expect(await steps({ peers }).run(step, context().context)).toMatchObject({ outputs: [EMPTY] });
    expect(asked).toEqual(['worker-0', 'worker-1', 'worker-2']);
  });

  it('is lost when the build’s client was reached by a connection that breaks', async () => {
    const { peers, asked } = reachable(async (name) => {
      if (name === 'worker-1') return DONE;
      throw new GrpcError(Code.unknown, 'no active session');
    });
    const broken = {
      async find(wish: PeerWish) {
        const peer = await peers.find(wish);
        const breaking = async (path: string) => {
          const connection = await peer.connect(path);
          if (path === '/session' && peer.name === 'worker-0') connection.destroy();
          return connection;
        };
        return { ...peer, connect: breaking };
      },
    };
    await steps({ peers: broken }).run(step, context().context);
    expect(asked).toEqual(['worker-0', 'worker-1']);
  });
});

describe('what the step has of the build’s client', () => {
  const secret = { type: 'secret', dest: '/run/secrets/key', id: 'key' } as const;
  const agent = { type: 'ssh', dest: '/run/agent', id: 'default' } as const;

  it('is asked for once, whoever does it', async () => {
    const { peers, wishes } = unreachable(['one', 'two', 'three']);
    const asked: string[] = [];
    const offered = {
      async secret(id: string) {
        asked.push(id);
        return Buffer.from('hidden');
      },
    };
    const step = { vertex: command({ mounts: [ROOT, secret] }), inputs: [EMPTY], limits: LIMITS };
    await expect(steps({ peers }).run(step, context(offered).context)).rejects.toThrow('three, which did');
    expect(wishes).toHaveLength(3);
    expect(asked).toEqual(['key']);
  });

  it('is missed for what the client says, and no worker is blamed', async () => {
    const { peers, wishes } = unreachable(['one', 'two']);
    const offered = {
      async secret(): Promise<Uint8Array> {
        throw unavailable('the vault is shut');
      },
    };
    const step = { vertex: command({ mounts: [ROOT, secret] }), inputs: [EMPTY], limits: LIMITS };
    await expect(steps({ peers }).run(step, context(offered).context)).rejects.toThrow('the vault is shut');
    expect(wishes).toHaveLength(1);
  });

  it('has its sockets where a worker that begins anew removes them', async () => {
    const { peers } = unreachable(['one']);
    const used: string[] = [];
    const offered = {
      async agent(_id: string, { directory: place }: { directory: string }) {
        used.push(dirname(place));
        return { path: join(place, 'socket'), async [Symbol.asyncDispose]() {} };
      },
    };
    const step = { vertex: command({ mounts: [ROOT, agent] }), inputs: [EMPTY], limits: LIMITS };
    await expect(steps({ peers }).run(step, context(offered).context)).rejects.toThrow('one, which did');
    expect(used).toEqual([directory]);
    expect(await readdir(directory)).toEqual([]);
  });
});

it('a step that is emulated in the end says why', async () => {
  const { peers } = unreachable(['one']);
  const { context: given, shown } = context();
  // Of this machine's own platform: that it runs.
  const step = { vertex: command({}, hostPlatform()), inputs: [EMPTY], limits: LIMITS };
  expect(await steps({ peers }).run(step, given)).toBeUndefined();
  expect(shown.at(-1)).toMatch(/^emulated here: one, which did this step for .*, was lost/);
});

it('a directory is copied and brought once for all steps of its build', async () => {
  const { peers } = reachable(async () => DONE);
  const imported: string[] = [];
  const local = {
    require: async () => undefined,
    async import({ id }: DirectoryRef) {
      imported.push(id);
      return EMPTY;
    },
  };
  const asked = steps({ peers, local });
  const directoryRef = (id: string): DirectoryRef => ({ kind: 'directory', root: '/nowhere', id });
  const step = (id: string) => ({ vertex: command(), inputs: [directoryRef(id)], limits: LIMITS });
  const client = context().context.session;
  // Each step has a session of its own, which stands for those of all that want it.
  const one = () => context({ original: client }).context;
  await Promise.all([asked.run(step('a'), one()), asked.run(step('a'), one())]);
  await asked.run(step('a'), one());
  expect(imported).toEqual(['a']);
  await asked.run(step('b'), one());
  await asked.run(step('a'), context().context);
  expect(imported).toEqual(['a', 'b', 'a']);
});
