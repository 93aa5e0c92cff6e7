import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { invalid, unavailable } from '#errors/errors.ts';
import type { StoredLayer } from '#worker/build/cache/record-manifest.ts';
import { readLayers } from '#worker/build/cache/stored-layers.ts';
import { BuildFailure } from '#worker/build/drivers/build-failure.ts';
import { sharedLayers } from '#worker/build/drivers/source/shared-layers-source.ts';
import { SHARED_LAYERS } from '#worker/build/export/shared-layers-exporter.ts';
import type { ExecOp } from '#worker/build/llb/op.ts';
import { vertex as makeVertex, type Vertex } from '#worker/build/llb/vertex.ts';
import type { NativeContext } from '#worker/build/solve/native-steps.ts';
import type { BuildLimits } from '#worker/build/solve/op-driver.ts';
import type { ProgressSink } from '#worker/build/solve/progress.ts';
import { BuildClient } from '../client/build-client.ts';
import type { Connect } from '../client/connection.ts';
import { FailedBuild } from '../client/failed-build.ts';
import type { Offers } from '../client/offers.ts';
import { writeDefinition } from '../definition/write-definition.ts';
import { Code, ConnectionLost, GrpcError } from '../grpc/grpc-error.ts';
import type { PeerWorker } from './peer-workers.ts';

interface AskedStep {
  readonly vertex: Vertex<ExecOp>;
  /** Where the cache that both share has each input. */
  readonly inputs: readonly (readonly StoredLayer[])[];
  readonly limits: BuildLimits;
  /** What it has of the build's client. */
  readonly offers: Offers;
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

/** The worker was lost while it was at a step: nobody knows what came of it, another one may do it. */
export class LostPeer extends Error {
  override readonly name = 'LostPeer';
}

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

  /** Throws `BuildFailure`, other reasons of the worker's, and `LostPeer`. */
  async run(
    { vertex, inputs, limits, offers }: AskedStep,
    { progress, signal }: NativeContext,
  ): Promise<{ layers: StoredLayer[]; reused: boolean }> {
    const over = new AbortController();
    const left = AbortSignal.any([signal, over.signal]);
    let isLost = false;
    const lose = () => {
      isLost = true;
    };
    const heard = new HeardStep(progress);
    const client = new BuildClient({ address: { connect: this.#connecting(lose) }, log: this.#log });
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
      if (left.aborted) return;
      lose();
      over.abort();
    });
    try {
      const answer = await client.build(request, offers, { progress: heard, signal: left });
      return { layers: readLayers(answer[SHARED_LAYERS] ?? ''), reused: heard.wasCached(name) };
    } catch (error) {
      if (signal.aborted) throw error;
      if (isLost || error instanceof ConnectionLost) {
        throw new LostPeer(`${this.#peer.name} is gone`, { cause: error });
      }
      throw this.#explained(error, vertex.op);
    } finally {
      over.abort();
      await lost;
    }
  }

  #connecting(failed: () => void): Connect {
    return async (path, options) => {
      try {
        return await this.#peer.connect(path, options);
      } catch (error) {
        failed();
        throw error;
      }
    };
  }

  /** What the worker has said is no loss of it: the command may have run, and would run again elsewhere. */
  #explained(error: unknown, op: ExecOp): unknown {
    const grpc = error instanceof FailedBuild ? error.cause : error;
    if (grpc instanceof GrpcError && (grpc.code === Code.unavailable || grpc.code === Code.cancelled)) {
      return unavailable(`${this.#peer.name}: ${grpc.message}`, { cause: error });
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
