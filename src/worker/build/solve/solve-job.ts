import { canceled, invalid, SlipwayError } from '#errors/errors.ts';
import type { Edge, Vertex } from '../llb/vertex.ts';
import { refuseUnentitled } from './entitlements.ts';
import type { Passenger } from './flights.ts';
import { cacheKey, identityOf } from './identity.ts';
import { JobProgress } from './job-progress.ts';
import type { Holdable } from './lease.ts';
import type { CacheMap, OpContext, OpDriver } from './op-driver.ts';
import { drive } from './op-drivers.ts';
import { RecordLookups } from './record-lookups.ts';
import type { Ref } from './ref.ts';
import { blame } from './solve-error.ts';
import type { JobOptions, SolverParts } from './solver.ts';
import { runStep, shown } from './step-run.ts';
import { below, type Found, type Realized, type VertexNode, VertexNodes } from './vertex-node.ts';

/**
 * The graph of one build, and what it has come to. A vertex is looked up by its definition; when that is not known, by
 * what its inputs have come to (only those whose contents count are realized for it); and only then done, together
 * with whatever other build wants the same.
 */
export class SolveJob implements AsyncDisposable {
  readonly #parts: SolverParts;
  readonly #options: JobOptions;
  readonly #progress: JobProgress;
  readonly #lookups: RecordLookups;
  readonly #nodes = new VertexNodes();
  readonly #resolved = new Map<string, string>();
  readonly #leases: Holdable[] = [];
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #abandoned: Promise<void>[] = [];
  readonly #closing = new AbortController();
  readonly #signal: AbortSignal;
  readonly #left: Promise<never>;

  constructor(parts: SolverParts, options: JobOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#progress = new JobProgress(options.progress);
    this.#signal = AbortSignal.any([options.signal, this.#closing.signal]);
    this.#lookups = new RecordLookups(parts.cache, this.#signal);
    const { promise, reject } = Promise.withResolvers<never>();
    this.#signal.addEventListener('abort', () => reject(canceled()), { once: true });
    promise.catch(() => undefined);
    this.#left = promise;
  }

  /**
   * Solves an edge; the ref can be used until the job is closed. Rejects at the first vertex that fails, with a
   * `SolveError`; what else is under way goes on until the job is closed.
   */
  async solve({ vertex, output }: Edge): Promise<Ref> {
    if (this.#signal.aborted) throw canceled();
    const node = this.#nodes.load(vertex, (added) => {
      refuseUnentitled(added.vertex, this.#options.limits.entitlements);
      this.#progress.known(added.vertex);
    });
    // From the sources up, so that none waits for another, nor calls itself as deep as the graph is.
    for (const one of below(node)) this.#definition(one).catch(() => undefined);
    const { refs } = await this.#realize(node);
    const ref = refs[output];
    if (!ref) throw blame(invalid(`${vertex.metadata.name} has no output ${output}`), vertex);
    return ref;
  }

  /** What a source was found to be, as far as it is known by now. */
  resolved(vertex: Vertex): string | undefined {
    return this.#resolved.get(vertex.digest);
  }

  /** Gives everything up: what nobody else wants is aborted. Resolves when that has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(canceled());
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    await Promise.all(this.#abandoned);
    this.#progress.end();
    await Promise.all(this.#leases.splice(0).map((lease) => lease.release()));
  }

  /** The vertex's refs, made or loaded. */
  #realize(node: VertexNode): Promise<Realized> {
    node.realized ??= this.#track(node, async () => {
      for (;;) {
        const found = await this.#find(node);
        if ('realized' in found) return found.realized;
        const loaded = await this.#parts.cache.load(found.record, { signal: this.#signal });
        if (loaded) {
          this.#leases.push(loaded.lease);
          this.#progress.watcher(node.vertex).completed(new Date(), { cached: true });
          return { ...loaded, identities: found.identities };
        }
        this.#lookups.lookAgain();
        node.found = undefined;
      }
    });
    return node.realized;
  }

  /** What the vertex comes to, by the cache if it knows. */
  #find(node: VertexNode): Promise<Found> {
    node.found ??= this.#track(node, async () => {
      if (node.vertex.op.kind === 'source') return this.#asFound(await this.#source(node));
      if (!node.renewed) {
        const record = await this.#lookups.find(await this.#definition(node));
        if (record) return { record, identities: record.outputs.map(identityOf) };
      }
      if (!node.vertex.metadata.ignoreCache) {
        const record = await this.#lookups.find(await this.#contentKey(node, (input) => this.#find(input)));
        if (record) {
          await this.#parts.cache.link(await this.#definition(node), record);
          return { record, identities: record.outputs.map(identityOf) };
        }
      }
      return this.#asFound(await this.#run(node));
    });
    return node.found;
  }

  #asFound(realized: Realized): Found {
    return { identities: realized.identities, realized };
  }

  /** What makes the op, apart from its inputs. */
  #map(node: VertexNode): Promise<CacheMap> {
    node.map ??= this.#track(node, async () => {
      const { vertex } = node;
      if (vertex.op.kind === 'source') return this.#sourceMap(vertex);
      return this.#drive(vertex, (driver, context) => driver.cacheMap(vertex, context));
    });
    return node.map;
  }

  async #sourceMap(vertex: Vertex): Promise<CacheMap> {
    const { maps, drivers } = this.#parts;
    const { limits } = this.#options;
    const map = await this.#joined(
      maps.join(this.#sourceKey(vertex), this.#passenger(vertex), (flight) =>
        shown(flight.progress, () =>
          drive(vertex, { drivers, limits, ...flight }, (driver, context) =>
            driver.cacheMap(vertex, context),
          ),
        ),
      ),
    );
    if (map.resolved !== undefined) this.#resolved.set(vertex.digest, map.resolved);
    return map;
  }

  /** Equal vertices are one source, unless it is the client that it is of. */
  #sourceKey({ op, digest }: Vertex): string {
    const ofClient = op.kind === 'source' && /^(?:local|oci-layout):/.test(op.identifier);
    return ofClient ? `${digest} ${this.#options.session.id}` : digest;
  }

  /** The key by what made it, inputs included; of sources that only their contents identify, those. */
  #definition(node: VertexNode): Promise<string> {
    node.definition ??= this.#track(node, async () => {
      const map = await this.#map(node);
      const inputs = node.inputs.map(async (input, at) => {
        const { opaque } = await this.#map(input.node);
        if (opaque) return this.#content(node, at, (below) => this.#realize(below));
        const { selector = '' } = map.inputs[at] ?? {};
        return `${await this.#definition(input.node)}:${input.output} ${selector}`;
      });
      const key = cacheKey('definition', map.digest, await Promise.all(inputs));
      if (!node.renewed && node.inputs.length > 0) this.#lookups.wish(key);
      return key;
    });
    return node.definition;
  }

  /** The key by what its inputs have come to; `resolve` says what that is. */
  async #contentKey(
    node: VertexNode,
    resolve: (input: VertexNode) => Promise<{ identities: readonly string[] }>,
  ): Promise<string> {
    const map = await this.#map(node);
    const inputs = await Promise.all(node.inputs.map((_input, at) => this.#content(node, at, resolve)));
    return cacheKey('content', map.digest, inputs);
  }

  /** What an input is, to the vertex: that of its contents which is read, or the whole. */
  async #content(
    node: VertexNode,
    at: number,
    resolve: (input: VertexNode) => Promise<{ identities: readonly string[] }>,
  ): Promise<string> {
    const { node: input, output } = node.inputs[at]!;
    const { contentDigest, selector = '' } = (await this.#map(node)).inputs[at] ?? {};
    if (!contentDigest)
      return `${outputOf((await resolve(input)).identities, output, input.vertex)} ${selector}`;
    const realized = await this.#realize(input);
    const ref = outputOf(realized.refs, output, input.vertex);
    const slot = `${at} ${realized.identities[output]}`;
    const known = node.contents.get(slot);
    if (known !== undefined) return known;
    const digest = this.#drive(node.vertex, (_driver, context) => contentDigest(ref, context)).catch(
      (error: unknown) => {
        throw unfound(error);
      },
    );
    node.contents.set(slot, digest);
    return digest;
  }

  async #source(node: VertexNode): Promise<Realized> {
    const { vertex } = node;
    const { digest } = await this.#map(node);
    const { steps, drivers } = this.#parts;
    const { limits } = this.#options;
    const passenger = this.#passenger(vertex);
    return this.#realized(
      await steps.join(`source ${digest}`, passenger, (flight) =>
        shown(flight.progress, () =>
          drive(vertex, { drivers, limits, ...flight }, (driver, context) => driver.run(vertex, [], context)),
        ),
      ),
    );
  }

  async #run(node: VertexNode): Promise<Realized> {
    const { vertex } = node;
    const inputs = await Promise.all(node.inputs.map((input) => this.#realize(input.node)));
    // Once more: a record that was lost on the way may have come to something else when it was done again.
    const contentKey = await this.#contentKey(node, (input) => this.#realize(input));
    const request = {
      vertex,
      inputs: inputs.map(({ refs }, at) =>
        outputOf(refs, node.inputs[at]!.output, node.inputs[at]!.node.vertex),
      ),
      leases: inputs.map(({ lease }) => lease),
      contentKey,
      definitionKey: await this.#definition(node),
      limits: this.#options.limits,
      owner: this.#options.owner,
    };
    const key = vertex.metadata.ignoreCache ? `renewed ${contentKey}` : contentKey;
    return this.#realized(
      await this.#parts.steps.join(key, this.#passenger(vertex), (flight) =>
        runStep(this.#parts, request, flight),
      ),
    );
  }

  #realized({ value: refs, lease }: { value: readonly Ref[]; lease: Holdable }): Realized {
    this.#leases.push(lease);
    return { refs, lease, identities: refs.map(identityOf) };
  }

  async #joined<T>(flight: Promise<{ value: T; lease: Holdable }>): Promise<T> {
    const { value, lease } = await flight;
    this.#leases.push(lease);
    return value;
  }

  /** What is done for this build alone. */
  #drive<T>(vertex: Vertex, task: (driver: OpDriver, context: OpContext) => Promise<T>): Promise<T> {
    const { session, limits } = this.#options;
    const progress = this.#progress.watcher(vertex);
    const { drivers } = this.#parts;
    return this.#joined(drive(vertex, { drivers, session, limits, progress, signal: this.#signal }, task));
  }

  #passenger(vertex: Vertex): Passenger {
    return {
      watcher: this.#progress.watcher(vertex),
      session: this.#options.session,
      left: this.#left,
      abandoned: (ended) => this.#abandoned.push(ended),
    };
  }

  /** Names the vertex that fails, and is waited for when the job is closed. */
  #track<T>(node: VertexNode, task: () => Promise<T>): Promise<T> {
    const done = task().catch((error: unknown) => {
      throw blame(error, node.vertex);
    });
    this.#underWay.add(done);
    const over = () => this.#underWay.delete(done);
    done.then(over, over);
    return done;
  }
}

/** In BuildKit's words. */
function unfound(error: unknown): unknown {
  if (!(error instanceof SlipwayError) || error.kind === 'canceled') return error;
  const { kind, code, message } = error;
  return new SlipwayError(kind, `failed to compute cache key: ${message}`, {
    ...(code !== undefined && { code }),
    cause: error,
  });
}

function outputOf<T>(outputs: readonly T[], at: number, vertex: Vertex): T {
  const output = outputs[at];
  if (output === undefined) throw blame(invalid(`${vertex.metadata.name} has no output ${at}`), vertex);
  return output;
}
