import { randomBytes } from 'node:crypto';
import type { CacheStore } from './cache-store.ts';
import type { Op } from './op.ts';
import type { OpRunner, StepObserver } from './op-runner.ts';
import { layersOf, type Result } from './result.ts';
import type { Vertex } from './vertex.ts';

export type OpRunners = { readonly [O in Op as O['kind']]: OpRunner<O> };

export interface Solution {
  readonly result: Result;
  /** When it was first made: a cached step keeps its date, so an unchanged build keeps its image's ID. */
  readonly createdAt: Date;
}

export interface SolverOptions {
  readonly runners: OpRunners;
  readonly cache: CacheStore;
  /** Look nothing up; what is made is still kept. */
  readonly noCache: boolean;
  readonly signal: AbortSignal;
}

/**
 * Solves vertices: inputs first, then the cache by definition key, then by content keys, and only then the work
 * itself. Each vertex is solved once a build. What is never asked for is never run.
 */
export class Solver {
  readonly #options: SolverOptions;
  readonly #solved = new Map<string, Promise<Solution>>();

  constructor(options: SolverOptions) {
    this.#options = options;
  }

  solve(vertex: Vertex, describe: string, observer: StepObserver): Promise<Solution> {
    const known = this.#solved.get(vertex.key);
    if (known) return known;
    const solution = this.#solve(vertex, describe, observer);
    this.#solved.set(vertex.key, solution);
    return solution;
  }

  async #solve(vertex: Vertex, description: string, observer: StepObserver): Promise<Solution> {
    const inputs: Result[] = [];
    for (const input of vertex.inputs) inputs.push((await this.solve(input, description, observer)).result);
    this.#options.signal.throwIfAborted();
    const runner = this.#options.runners[vertex.op.kind] as OpRunner;
    if (vertex.op.kind === 'source') return this.#source(vertex.op, runner, observer);

    const keys: string[] = [];
    for await (const key of keysOf(vertex, runner, inputs)) {
      keys.push(key);
      const hit = this.#options.noCache ? undefined : await this.#options.cache.find(key);
      // A record on other layers than these is right in itself, but not what this build has shown so far.
      if (!hit || !beginsWith(hit.diffIds, layersOf(inputs[0]).diffIds)) continue;
      await observer.cached();
      return { result: { kind: 'layers', diffIds: hit.diffIds }, createdAt: hit.createdAt };
    }
    return this.#run(vertex.op, runner, inputs, { keys, description, observer });
  }

  /** Sources have caches of their own: the image store, the client's context. */
  async #source(op: Op, runner: OpRunner, observer: StepObserver): Promise<Solution> {
    const { result } = await runner.run(op, [], { user: '', observer });
    return { result, createdAt: new Date() };
  }

  async #run(
    op: Op,
    runner: OpRunner,
    inputs: readonly Result[],
    step: { keys: readonly string[]; description: string; observer: StepObserver },
  ): Promise<Solution> {
    const { cache } = this.#options;
    const id = randomBytes(16).toString('hex');
    const { result, layer } = await runner.run(op, inputs, {
      user: cache.userOf(id),
      observer: step.observer,
    });
    const createdAt = new Date();
    const { diffIds } = layersOf(result);
    const record = {
      id,
      kind: op.kind,
      description: step.description,
      diffIds,
      bytes: layer?.bytes ?? 0,
      createdAt,
    };
    await cache.save(record, step.keys);
    return { result, createdAt };
  }
}

async function* keysOf(vertex: Vertex, runner: OpRunner, inputs: readonly Result[]): AsyncGenerator<string> {
  if (vertex.defined) yield `definition:${vertex.key}`;
  yield* runner.contentKeys(vertex.op, inputs);
}

function beginsWith<T>(list: readonly T[], start: readonly T[]): boolean {
  return start.every((item, at) => list[at] === item);
}
