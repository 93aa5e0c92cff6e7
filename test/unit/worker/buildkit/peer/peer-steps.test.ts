import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { notFound, unavailable } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import { hostPlatform } from '#oci/platform.ts';
import { sharedLayers } from '#worker/build/drivers/source/shared-layers-source.ts';
import type { ExecOp } from '#worker/build/llb/op.ts';
import { type Vertex, vertex } from '#worker/build/llb/vertex.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import type { BuildLimits } from '#worker/build/solve/op-driver.ts';
import { EMPTY, type LayersRef } from '#worker/build/solve/ref.ts';
import { PeerSteps, type PeerStepsPorts } from '#worker/buildkit/peer/peer-steps.ts';
import type { PeerWish } from '#worker/buildkit/peer/peer-workers.ts';

const ROOT = { type: 'bind', dest: '/', input: 0, output: 0 } as const;
const LIMITS: BuildLimits = { entitlements: new Set() };
/** No machine is that. */
const FOREIGN = { os: 'linux', architecture: 'tables' };

const BASE = vertex({ kind: 'source', identifier: 'docker-image://base', attrs: {} }, [], {
  metadata: { name: 'base' },
});

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
  return new PeerSteps({ peers, shared, local, log: pino({ enabled: false }), ...ports });
}

function context() {
  const { signal } = new AbortController();
  const session = { id: 'session', sharedKey: 'project' } as BuildSession;
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
    const lost = (signal: AbortSignal) =>
      new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    return { name, connect, lost };
  };
  return { peers: { find }, wishes };
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
