import { orDiskFull } from '#errors/disk-full.ts';
import { isKind, messageOf } from '#errors/errors.ts';
import type { CacheStore, Sharing } from '../cache/cache-store.ts';
import type { Vertex } from '../llb/vertex.ts';
import { runAgreed } from './agreed-step.ts';
import type { FairSlots } from './fair-slots.ts';
import type { FlightContext, Outcome } from './flights.ts';
import { type Holdable, Lease } from './lease.ts';
import type { NativeSteps } from './native-steps.ts';
import type { BuildLimits } from './op-driver.ts';
import { type Driven, drive, type OpDrivers } from './op-drivers.ts';
import type { LayersRef, Ref } from './ref.ts';
import type { StepWatcher } from './step-broadcast.ts';
import type { StepClaims } from './step-claims.ts';

export interface StepPorts {
  readonly drivers: OpDrivers;
  readonly cache: CacheStore;
  readonly slots: FairSlots;
  /** undefined: no other worker shares the cache. */
  readonly claims?: StepClaims | undefined;
  /** undefined: there are no other workers. */
  readonly natives?: NativeSteps | undefined;
}

interface Performed {
  readonly outcome: Outcome<readonly Ref[]>;
  readonly sharing: Sharing | undefined;
}

export interface StepRequest {
  readonly vertex: Vertex;
  readonly inputs: readonly Ref[];
  /** What the inputs stand on. */
  readonly leases: readonly Holdable[];
  readonly contentKey: string;
  /** undefined: it says nothing of the outcome. */
  readonly definitionKey?: string;
  readonly limits: BuildLimits;
  /** Whose turn it takes. */
  readonly owner: string;
}

/** Does a step, unless somebody has just done it; what comes of it is kept in the cache. */
export async function runStep(
  ports: StepPorts,
  request: StepRequest,
  flight: FlightContext,
): Promise<Outcome<readonly Ref[]>> {
  const { signal, progress } = flight;
  for (const lease of request.leases) lease.retain();
  try {
    // Between looking a step up and doing it, another build may have done it.
    const done = await find(ports, request, { signal, nearby: true });
    if (done) {
      progress.completed(new Date(), { cached: true });
      return done;
    }
    const inTurn = <T>(task: () => Promise<T>) => ports.slots.run(request.owner, signal, task);
    const { natives } = ports;
    if (natives?.isForeign(request)) {
      const driven = await shown(progress, () => elsewhere(natives, request, flight));
      if (driven) return (await kept(ports, request, driven)).outcome;
      // Others may find nobody either: they agree on who does it, as ever.
    }
    const step = {
      key: request.contentKey,
      signal,
      progress,
      inTurn,
      find: () => find(ports, request, { signal }),
      perform: () => perform(ports, request, flight),
    };
    if (ports.claims && isAgreed(request.vertex)) return await runAgreed(ports.claims, step);
    return (await inTurn(step.perform)).outcome;
  } finally {
    await Promise.all(request.leases.map((lease) => lease.release()));
  }
}

/** Tells watchers of a task that begins now. undefined: it is not over. */
export async function shown<D extends Driven<unknown> | undefined>(
  progress: StepWatcher,
  task: () => Promise<D>,
): Promise<D> {
  progress.started(new Date());
  try {
    const driven = await task();
    if (driven) progress.completed(new Date(), { cached: driven.reused });
    return driven;
  } catch (thrown) {
    const error = orDiskFull(thrown);
    const canceled = isKind(error, 'canceled');
    progress.completed(new Date(), {
      cached: false,
      error: canceled ? 'context canceled' : messageOf(error),
    });
    throw error;
  }
}

/** Whether it takes longer than to ask who does it, and is not to be done anew by each build. */
function isAgreed({ op, metadata }: Vertex): boolean {
  return (op.kind === 'exec' || op.kind === 'file') && !metadata.ignoreCache;
}

async function find(
  { cache }: StepPorts,
  { vertex, contentKey, definitionKey }: StepRequest,
  options: { signal: AbortSignal; nearby?: boolean },
): Promise<Outcome<readonly Ref[]> | undefined> {
  if (vertex.metadata.ignoreCache) return undefined;
  const record = (await cache.find([contentKey], options)).get(contentKey);
  const loaded = record && (await cache.load(record, options));
  if (!loaded) return undefined;
  if (definitionKey !== undefined && !options.nearby) await cache.link(definitionKey, record);
  return { value: loaded.refs, lease: loaded.lease };
}

async function perform(ports: StepPorts, request: StepRequest, flight: FlightContext): Promise<Performed> {
  return await kept(ports, request, await shown(flight.progress, () => driven(ports, request, flight)));
}

function driven(
  { drivers }: StepPorts,
  { vertex, inputs, limits }: StepRequest,
  { signal, progress, session }: FlightContext,
): Promise<Driven<readonly Ref[]>> {
  return drive(vertex, { drivers, signal, session, progress, limits }, (driver, context) =>
    driver.run(vertex, inputs, context),
  );
}

/** By a worker of the step's platform. undefined: there is none. */
async function elsewhere(
  natives: NativeSteps,
  request: StepRequest,
  flight: FlightContext,
): Promise<Driven<readonly Ref[]> | undefined> {
  const done = await natives.run(request, flight);
  return done && { value: done.outputs, reused: done.reused, lease: new Lease(async () => undefined) };
}

async function kept(
  { cache }: StepPorts,
  { vertex, inputs, contentKey, definitionKey }: StepRequest,
  driven: Driven<readonly Ref[]>,
): Promise<Performed> {
  const createdAt = new Date();
  const outputs = driven.value.map((ref) => dated(ref, inputs, createdAt));
  const kept = await cache.save({
    keys: definitionKey === undefined ? [contentKey] : [contentKey, definitionKey],
    kind: vertex.op.kind,
    description: vertex.metadata.name,
    inputs,
    outputs,
    createdAt,
  });
  const lease = new Lease(async () => {
    await kept.release();
    await driven.lease.release();
  });
  return { outcome: { value: outputs, lease }, sharing: kept.sharing };
}

/** Gives the layers that the step has made their date. */
function dated(ref: Ref, inputs: readonly Ref[], createdAt: Date): Ref {
  if (ref.kind !== 'layers') return ref;
  const layered = inputs.filter((input): input is LayersRef => input.kind === 'layers');
  const below = layered.find(({ layers }) =>
    layers.every(({ diffId }, at) => ref.layers[at]?.diffId === diffId),
  );
  const known = new Set(layered.flatMap(({ layers }) => layers.map(({ diffId }) => diffId)));
  const layers = ref.layers.map((layer, at) => {
    if (layer.createdAt || (below ? at < below.layers.length : known.has(layer.diffId))) return layer;
    return { ...layer, createdAt };
  });
  return { kind: 'layers', layers };
}
