import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { invalid, isKind, SlipwayError, unavailable } from '#errors/errors.ts';
import type { StoredLayer } from '#worker/build/cache/record-manifest.ts';
import { readLayers } from '#worker/build/cache/stored-layers.ts';
import { BuildFailure } from '#worker/build/drivers/build-failure.ts';
import { sharedLayers } from '#worker/build/drivers/source/shared-layers-source.ts';
import { SHARED_LAYERS } from '#worker/build/export/shared-layers-exporter.ts';
import type { ExecMount, ExecOp } from '#worker/build/llb/op.ts';
import { vertex as makeVertex, type Vertex } from '#worker/build/llb/vertex.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import type { NativeContext } from '#worker/build/solve/native-steps.ts';
import type { BuildLimits } from '#worker/build/solve/op-driver.ts';
import type { ProgressSink } from '#worker/build/solve/progress.ts';
import { BuildClient } from '../client/build-client.ts';
import { FailedBuild } from '../client/failed-build.ts';
import type { Offers } from '../client/offers.ts';
import { writeDefinition } from '../definition/write-definition.ts';
import { Code, GrpcError } from '../grpc/grpc-error.ts';
import type { PeerWorker } from './peer-workers.ts';

interface AskedStep {
  readonly vertex: Vertex<ExecOp>;
  /** Where the cache that both share has each input. */
  readonly inputs: readonly (readonly StoredLayer[])[];
  readonly limits: BuildLimits;
}

/** A client's name for what limits a step, in BuildKit's words. */
const RESOURCES = {
  memory: 'memory',
  memorySwap: 'memswap',
  cpuShares: 'cpushares',
  cpuPeriod: 'cpuperiod',
  cpuQuota: 'cpuquota',
  cpusetCpus: 'cpusetcpus',
  cpusetMems: 'cpusetmems',
} as const;

const GONE: readonly number[] = [Code.unavailable, Code.cancelled];

/**
 * Whether another worker can be told all of it: it has one output, nothing that only the classic builder knows, and nothing
 * that is this machine's: its network, or rights on it, which were granted here and not there.
 */
export function canBeAsked(op: ExecOp, limits: BuildLimits): boolean {
  const outputs = op.mounts.filter(({ output }) => output !== undefined);
  const [only] = outputs;
  const hasWords =
    !op.volumes?.length && ['default', 'none'].includes(op.network) && op.security === 'sandbox';
  const { shmSize, ulimits, cgroupParent, resources = {} } = limits;
  const isLimited = shmSize !== undefined || ulimits !== undefined || cgroupParent !== undefined;
  const known = Object.keys(resources).every((name) => name in RESOURCES);
  return outputs.length === 1 && only?.output === 0 && !only.readonly && hasWords && !isLimited && known;
}

/** One step, as a build of another worker's: that has no more of the build's client than this offers. */
export class PeerStep {
  readonly #peer: PeerWorker;
  readonly #log: Logger;

  constructor(peer: PeerWorker, log: Logger) {
    this.#peer = peer;
    this.#log = log;
  }

  /** Throws `BuildFailure`, and `unavailable` when the worker is lost. */
  async run(
    { vertex, inputs, limits }: AskedStep,
    { session, progress, signal }: NativeContext,
  ): Promise<{ layers: StoredLayer[]; reused: boolean }> {
    const over = new AbortController();
    const left = AbortSignal.any([signal, over.signal]);
    await using offers = await openOffers(vertex.op, session, left);
    const heard = new HeardStep(progress);
    const client = new BuildClient({ address: { connect: this.#peer.connect }, log: this.#log });
    const { definition, name } = definitionOf(vertex, inputs);
    const request = {
      ref: randomUUID(),
      options: optionsOf(limits),
      exporters: [{ type: SHARED_LAYERS, attrs: {} }],
      cacheImports: [],
      cacheExports: [],
      entitlements: [],
      definition,
    };
    const lost = this.#peer.lost(left).then(() => {
      if (!left.aborted) over.abort();
    });
    try {
      const answer = await client.build(request, offers, { progress: heard, signal: left });
      return { layers: readLayers(answer[SHARED_LAYERS] ?? ''), reused: heard.wasCached(name) };
    } catch (error) {
      if (signal.aborted) throw error;
      throw this.#explained(error, vertex.op, over.signal.aborted);
    } finally {
      over.abort();
      await lost;
    }
  }

  #explained(error: unknown, op: ExecOp, isLost: boolean): unknown {
    const grpc = error instanceof FailedBuild ? error.cause : error;
    const isGone = grpc instanceof GrpcError && GONE.includes(grpc.code);
    if (isLost || isGone || isKind(error, 'unavailable')) {
      return unavailable(`${this.#peer.name} is gone`, { cause: error });
    }
    if (!(error instanceof FailedBuild)) return error;
    const { message, exitCode } = error;
    const outOfMemory = message.endsWith(': cannot allocate memory');
    if (exitCode !== undefined || outOfMemory)
      return new BuildFailure(op.args, exitCode ?? 137, { outOfMemory });
    return invalid(message, { cause: error });
  }
}

/** What the other worker tells, as of the step that it was asked for. */
class HeardStep implements ProgressSink {
  readonly #progress: NativeContext['progress'];
  readonly #cached = new Map<string, boolean>();

  constructor(progress: NativeContext['progress']) {
    this.#progress = progress;
  }

  wasCached(name: string): boolean {
    return this.#cached.get(name) ?? false;
  }

  vertex({ name, cached }: Parameters<ProgressSink['vertex']>[0]): void {
    this.#cached.set(name, cached);
  }

  status({ vertex: _, ...event }: Parameters<ProgressSink['status']>[0]): void {
    this.#progress.status(event);
  }

  async log({ vertex: _, ...event }: Parameters<ProgressSink['log']>[0]): Promise<void> {
    await this.#progress.log(event);
  }

  warning(): void {}
}

function definitionOf({ op, platform, metadata }: Vertex<ExecOp>, inputs: AskedStep['inputs']) {
  const edges = inputs.map((layers, at) => ({
    vertex: makeVertex(sharedLayers(layers), [], { metadata: { name: `[internal] input ${at}` } }),
    output: 0,
  }));
  const { name, ignoreCache, resources } = metadata;
  const told = { name, ...(ignoreCache && { ignoreCache }), ...(resources && { resources }) };
  const step = makeVertex(op, edges, { ...(platform && { platform }), metadata: told });
  return { definition: writeDefinition({ vertex: step, output: 0 }), name };
}

function optionsOf({ resources = {} }: BuildLimits): Record<string, string> {
  const named = Object.entries(RESOURCES).flatMap(([name, option]) => {
    const value = resources[name as keyof typeof RESOURCES];
    return value === undefined ? [] : [[option, String(value)]];
  });
  return Object.fromEntries(named);
}

/** Secrets and agents of the build's client that the step names, and nothing else of what the client has. */
async function openOffers(
  op: ExecOp,
  session: BuildSession,
  signal: AbortSignal,
): Promise<Offers & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const secrets = new Map<string, () => Promise<Uint8Array>>();
  const wanted = [...op.mounts.filter(isOf('secret')), ...(op.secretEnv ?? [])].map(({ id }) => id);
  for (const id of new Set(wanted)) {
    const value = await ifThere(session.secret(id, { signal }));
    if (value) secrets.set(id, async () => value);
  }
  const agents = new Map<string, string>();
  for (const id of new Set(op.mounts.filter(isOf('ssh')).map((mount) => mount.id))) {
    const directory = await mkdtemp(join(tmpdir(), 'slipway-agent-'));
    opened.defer(() => rm(directory, { recursive: true, force: true }));
    const agent = await ifThere(session.agent(id, { directory, uid: 0, gid: 0, mode: 0o600, signal }));
    if (agent) agents.set(id, opened.use(agent).path);
  }
  const kept = opened.move();
  return {
    directories: new Map(),
    sharedKey: '',
    credentials: async () => undefined,
    secrets,
    agents,
    outputs: new Map(),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function isOf<T extends ExecMount['type']>(type: T) {
  return (mount: ExecMount): mount is Extract<ExecMount, { type: T }> => mount.type === type;
}

/** What a step may do without is missed where it runs. */
async function ifThere<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof SlipwayError && (error.kind === 'not-found' || error.kind === 'unsupported'))
      return undefined;
    throw error;
  }
}
