import { canceled, isKind, messageOf } from '#errors/errors.ts';
import type { OutcomeLayers } from '../attest/graph-metadata.ts';
import type { CacheRecord, LoadedRecord } from '../cache/cache-store.ts';
import { type ImportedCache, type ImportedRecord, isImported } from '../cache/portable/imported-cache.ts';
import type { ExportedStep } from '../cache/portable/record-graph.ts';
import type { Edge, Vertex } from '../llb/vertex.ts';
import { refuseUnentitled } from './entitlements.ts';
import type { Passenger } from './flights.ts';
import { graphExport } from './graph-export.ts';
import { graphLayers } from './graph-layers.ts';
import { identityOf } from './identity.ts';
import { ImportLookups } from './import-lookups.ts';
import { JobProgress } from './job-progress.ts';
import { type Holdable, Lease } from './lease.ts';
import { keyError, NodeKeys } from './node-keys.ts';
import type { CacheMap, OpContext, OpDriver } from './op-driver.ts';
import { drive } from './op-drivers.ts';
import { RecordLookups } from './record-lookups.ts';
import type { LayersRef, Ref } from './ref.ts';
import { blame } from './solve-error.ts';
import type { JobOptions, SolverParts } from './solver.ts';
import { runStep, shown } from './step-run.ts';
import {
  below,
  type Found,
  isBorrowed,
  outputOf,
  type Realized,
  type VertexNode,
  VertexNodes,
} from './vertex-node.ts';

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
  readonly #keys: NodeKeys;
  readonly #imports: ImportLookups;
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
    this.#keys = new NodeKeys({
      map: (node) => this.#map(node),
      realize: (node) => this.#realize(node),
      drive: (vertex, task) => this.#drive(vertex, task),
      track: (node, task) => this.#track(node, task),
      known: (key) => this.#lookups.wish(key),
    });
    this.#imports = new ImportLookups({
      map: (node) => this.#map(node),
      definition: (node) => this.#keys.definition(node),
      track: (node, task) => this.#track(node, task),
    });
    const { promise, reject } = Promise.withResolvers<never>();
    this.#signal.addEventListener('abort', () => reject(canceled()), { once: true });
    promise.catch(() => undefined);
    this.#left = promise;
  }

  /**
   * Solves an edge; the ref can be used until the job is closed. Rejects at the first vertex that fails, with a
   * `SolveError`; what else is under way goes on until the job is closed.
   */
  async solve(edge: Edge): Promise<Ref> {
    if (this.#signal.aborted) throw canceled();
    const node = this.#nodes.load(edge, (added) => {
      refuseUnentitled(added.vertex, this.#options.limits.entitlements);
      this.#progress.known(added.vertex);
    });
    // From the sources up, so that none waits for another, nor calls itself as deep as the graph is.
    for (const one of below(node)) {
      this.#keys.definition(one).catch(() => undefined);
      this.#imports.begin(one);
    }
    const { refs } = await this.#realize(node);
    return outputOf(refs, edge.output, edge.vertex);
  }

  /** Steps may be taken from there, for this build alone. What was solved before is not looked for in it. */
  import(cache: ImportedCache): void {
    this.#imports.add(cache);
  }

  /** The graphs that edges stand on, which were solved, as caches are exported of them. As `graphExport`. */
  exported(
    edges: readonly Edge[],
    wanted: (outputs: readonly LayersRef[]) => boolean,
  ): Promise<ExportedStep[]> {
    const roots = edges.map((edge) => this.#nodes.load(edge, () => undefined));
    const nodes = [...new Set(roots.flatMap((root) => below(root)))];
    const parts = {
      cache: this.#parts.cache,
      imports: this.#imports,
      signal: this.#signal,
      map: (node: VertexNode) => this.#map(node),
      definition: (node: VertexNode) => this.#keys.definition(node),
      content: async (node: VertexNode, at: number, ref: Ref) => {
        const { contentDigest } = (await this.#map(node)).inputs[at] ?? {};
        return contentDigest && this.#drive(node.vertex, (_driver, context) => contentDigest(ref, context));
      },
      keep: (lease: Holdable) => void this.#leases.push(lease),
    };
    return graphExport(nodes, parts, wanted);
  }

  /** The layers that the vertices below an edge came to, by their digests and outputs, as far as that is known. */
  layers(edge: Edge): Promise<OutcomeLayers> {
    return graphLayers(below(this.#nodes.load(edge, () => undefined)), {
      cache: this.#parts.cache,
      signal: this.#signal,
      definition: (node) => this.#keys.definition(node),
    });
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
        const loaded = await this.#load(found.record);
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

  async #load(record: CacheRecord): Promise<LoadedRecord | undefined> {
    const { cache } = this.#parts;
    if (!isImported(record)) return cache.load(record, { signal: this.#signal });
    const there = await record.cache.load(record, { signal: this.#signal });
    return there ? { refs: record.outputs, lease: new Lease(async () => undefined) } : undefined;
  }

  /** What the vertex comes to, by the cache if it knows. */
  #find(node: VertexNode): Promise<Found> {
    node.found ??= this.#track(node, async () => {
      if (node.vertex.op.kind === 'source') return this.#asFound(await this.#source(node));
      if (!node.renewed) {
        const record = await this.#lookups.find(await this.#keys.definition(node));
        if (record) return { record, identities: record.outputs.map(identityOf) };
      }
      const imported = await this.#imports.find(node);
      if (imported) return this.#borrow(node, imported);
      this.#parts.drivers[node.vertex.op.kind].expected?.();
      if (!node.vertex.metadata.ignoreCache) {
        const key = await this.#keys.content(node, (input) => this.#find(input));
        const record = await this.#lookups.find(key, { nearby: await this.#isNew(node) });
        if (record) {
          if (!isBorrowed(node)) await this.#parts.cache.link(await this.#keys.definition(node), record);
          return { record, identities: record.outputs.map(identityOf) };
        }
        // More is known of its inputs by now.
        const found = await this.#imports.find(node);
        if (found) return this.#borrow(node, found);
      }
      return this.#asFound(await this.#run(node));
    });
    return node.found;
  }

  #borrow(node: VertexNode, record: ImportedRecord): Found {
    node.borrowed = true;
    return { record, identities: record.outputs.map(identityOf) };
  }

  /** It stands as a whole on what was done just now: nobody else has done it on the same. */
  async #isNew(node: VertexNode): Promise<boolean> {
    const { inputs } = await this.#map(node);
    return node.inputs.some((input, at) => input.node.ran && !inputs[at]?.contentDigest);
  }

  #asFound(realized: Realized): Found {
    return { identities: realized.identities, realized };
  }

  /** What makes the op, apart from its inputs. */
  #map(node: VertexNode): Promise<CacheMap> {
    node.map ??= this.#track(node, async () => {
      const { vertex } = node;
      if (vertex.op.kind === 'source') {
        return this.#sourceMap(vertex).catch((error: unknown) => {
          throw keyError('load', error);
        });
      }
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
    const ofClient = op.kind === 'source' && /^(?:local|oci-layout|oci-layout\+blob):/.test(op.identifier);
    return ofClient ? `${digest} ${this.#options.session.id}` : digest;
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
    node.ran = true;
    const inputs = await Promise.all(node.inputs.map((input) => this.#realize(input.node)));
    // Once more: a record that was lost on the way may have come to something else when it was done again.
    const contentKey = await this.#keys.content(node, (input) => this.#realize(input));
    const request = {
      vertex,
      inputs: inputs.map(({ refs }, at) =>
        outputOf(refs, node.inputs[at]!.output, node.inputs[at]!.node.vertex),
      ),
      leases: inputs.map(({ lease }) => lease),
      contentKey,
      // What it is by definition, an import may have lied about; what it is by its inputs' contents, not.
      ...(!isBorrowed(node) && { definitionKey: await this.#keys.definition(node) }),
      limits: this.#options.limits,
      owner: this.#options.owner,
    };
    const { misses } = this.#options;
    misses?.missed(await this.#keys.missed(node, contentKey));
    const key = vertex.metadata.ignoreCache ? `renewed ${contentKey}` : contentKey;
    const outcome = await this.#parts.steps.join(key, this.#passenger(vertex), (flight) =>
      runStep(this.#parts, request, flight),
    );
    misses?.done(vertex);
    return this.#realized(outcome);
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
    const driven = drive(vertex, { drivers, session, limits, progress, signal: this.#signal }, task);
    return this.#joined(driven).catch((error: unknown) => {
      if (!isKind(error, 'canceled')) this.#progress.failed(vertex, messageOf(error));
      throw error;
    });
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
