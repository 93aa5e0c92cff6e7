import { beforeEach, describe, expect, it } from 'vitest';
import { type Digest, digestOf } from '#oci/digest.ts';
import type { CacheRecord, CacheStore } from '#worker/build/graph/cache-store.ts';
import type { ExecOp, Op } from '#worker/build/graph/op.ts';
import type { OpResult, OpRunner, StepObserver } from '#worker/build/graph/op-runner.ts';
import { layersOf, type Result } from '#worker/build/graph/result.ts';
import { Solver } from '#worker/build/graph/solver.ts';
import { vertex } from '#worker/build/graph/vertex.ts';
import { contentKey } from '#worker/build/ops/content-key.ts';

class MemoryCache implements CacheStore {
  readonly records = new Map<string, CacheRecord>();

  async find(key: string) {
    return this.records.get(key);
  }

  userOf(id: string) {
    return id;
  }

  async save(record: CacheRecord, keys: readonly string[]) {
    for (const key of keys) this.records.set(key, record);
  }
}

/** Adds a layer that is named by `content`, and counts how often it had to. */
class CountingRunner implements OpRunner {
  runs = 0;
  content: (op: unknown) => string = (op) => JSON.stringify(op);

  async *contentKeys(op: Op, inputs: readonly Result[]) {
    yield contentKey(op, inputs);
  }

  async run(op: unknown, inputs: readonly Result[]): Promise<OpResult> {
    this.runs++;
    const diffId = digestOf(this.content(op));
    const { diffIds } = layersOf(inputs[0]);
    return { result: { kind: 'layers', diffIds: [...diffIds, diffId] }, layer: { diffId, bytes: 1 } };
  }
}

const source: OpRunner = {
  async *contentKeys() {},
  async run(op) {
    const diffIds: Digest[] =
      op.kind === 'source' && op.source.type === 'image' ? [...op.source.diffIds] : [];
    return { result: { kind: 'layers', diffIds } };
  },
};

const observer: StepObserver = {
  cached: async () => {},
  running: async () => {},
  output: async () => {},
  removed: async () => {},
};

const base = vertex({
  kind: 'source',
  source: { type: 'image', id: digestOf('i'), diffIds: [digestOf('base')] },
});
const exec = (command: string): ExecOp => ({
  kind: 'exec',
  args: [command],
  env: [],
  cwd: '/',
  user: '',
  network: 'default',
});

let cache: MemoryCache;
let runner: CountingRunner;
beforeEach(() => {
  cache = new MemoryCache();
  runner = new CountingRunner();
});

function solver(options: { noCache?: boolean; signal?: AbortSignal } = {}): Solver {
  return new Solver({
    runners: { source, exec: runner, file: runner, config: runner },
    cache,
    noCache: options.noCache ?? false,
    signal: options.signal ?? new AbortController().signal,
  });
}

describe('a solver', () => {
  it('solves inputs first, and each vertex once', async () => {
    const one = vertex(exec('one'), [base]);
    const two = vertex(exec('two'), [one]);
    const graph = solver();
    const { result } = await graph.solve(two, '', observer);
    await graph.solve(vertex(exec('one'), [base]), '', observer);
    expect(runner.runs).toBe(2);
    expect(layersOf(result).diffIds).toHaveLength(3);
  });

  it('finds what an earlier build did, with its date', async () => {
    const step = vertex(exec('one'), [base]);
    const first = await solver().solve(step, '', observer);
    let cached = 0;
    const hears = { ...observer, cached: async () => void cached++ };
    const second = await solver().solve(step, '', hears);
    expect(second).toEqual(first);
    expect([runner.runs, cached]).toEqual([1, 1]);
    await solver({ noCache: true }).solve(step, '', observer);
    expect(runner.runs).toBe(2);
  });

  it('finds by content what has another definition', async () => {
    runner.content = () => 'always the same layer';
    await solver().solve(vertex(exec('last'), [vertex(exec('a'), [base])]), '', observer);
    await solver().solve(vertex(exec('last'), [vertex(exec('b'), [base])]), '', observer);
    expect(runner.runs).toBe(3);
  });

  it('does not put a step on other layers than those it shows', async () => {
    const one = vertex(exec('one'), [base]);
    const two = vertex(exec('two'), [one]);
    await solver().solve(two, '', observer);
    // The first step is forgotten and gives something else when it runs again.
    for (const key of [...cache.records.keys()]) if (key.includes(one.key)) cache.records.delete(key);
    cache.records.delete(contentKey(one.op, [{ kind: 'layers', diffIds: [digestOf('base')] }]));
    runner.content = (op) => `${JSON.stringify(op)} differently`;
    const graph = solver();
    const { result } = await graph.solve(two, '', observer);
    const below = layersOf((await graph.solve(one, '', observer)).result).diffIds;
    expect(layersOf(result).diffIds.slice(0, 2)).toEqual(below);
  });

  it('stops before the next vertex when it is told to', async () => {
    const controller = new AbortController();
    const failing = solver({ signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(failing.solve(vertex(exec('one'), [base]), '', observer)).rejects.toThrow('enough');
    expect(runner.runs).toBe(0);
  });
});

it('keys a vertex by its whole definition, and nothing that stands on a context', () => {
  expect(vertex(exec('a'), [base]).key).toBe(vertex(exec('a'), [base]).key);
  expect(vertex(exec('a'), [base]).key).not.toBe(vertex(exec('b'), [base]).key);
  const context = () => vertex({ kind: 'source', source: { type: 'context' } });
  const onContext = vertex(exec('a'), [base, context()]);
  expect(onContext.defined).toBe(false);
  expect(onContext.key).not.toBe(vertex(exec('a'), [base, context()]).key);
});
