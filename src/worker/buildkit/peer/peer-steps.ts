import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { canceled, isKind, messageOf, type SlipwayError, unavailable } from '#errors/errors.ts';
import { formatPlatform } from '#oci/platform.ts';
import type { StoredLayer } from '#worker/build/cache/record-manifest.ts';
import { isNative, isRunnable } from '#worker/build/drivers/exec/emulation.ts';
import { isSharedLayers } from '#worker/build/drivers/source/shared-layers-source.ts';
import type { LocalLayers } from '#worker/build/export/layer-export.ts';
import type { ExecOp } from '#worker/build/llb/op.ts';
import type { Vertex } from '#worker/build/llb/vertex.ts';
import type {
  NativeContext,
  NativeOutcome,
  NativeStep,
  NativeSteps,
} from '#worker/build/solve/native-steps.ts';
import type { LayersRef, Ref } from '#worker/build/solve/ref.ts';
import { canBeAsked, PeerStep } from './peer-step.ts';
import type { PeerWorker, PeerWorkers } from './peer-workers.ts';

export interface PeerStepsPorts {
  readonly peers: PeerWorkers;
  /** The cache that workers share, by which layers go to and fro. */
  readonly shared: {
    bring(ref: LayersRef, signal: AbortSignal): Promise<StoredLayer[]>;
    ref(layers: readonly StoredLayer[]): LayersRef;
  };
  readonly local: LocalLayers;
  readonly log: Logger;
}

/** Workers that are lost while they are at one step, before it is given up. */
const TRIES = 3;
/** A gateway that begins anew answers after some seconds. */
const ASKED = 10;
const RETRY = 1_000;

/**
 * Commands for platforms that are not this machine's, done by workers of the pool that are of those: all else of the build
 * (sources, copies, what is exported) is done here, with what they come to.
 */
export class PeerSteps implements NativeSteps {
  readonly #ports: PeerStepsPorts;

  constructor(ports: PeerStepsPorts) {
    this.#ports = ports;
  }

  isForeign({ vertex, limits }: Pick<NativeStep, 'vertex' | 'limits'>): boolean {
    const { op, platform, inputs } = vertex;
    if (op.kind !== 'exec' || platform === undefined || isNative(platform) || inputs.length === 0)
      return false;
    // Who was asked does it, whatever its processor is: workers would hand it on to each other for ever.
    if (inputs.some((input) => isSharedLayers(input.vertex.op))) return false;
    return canBeAsked(op, limits);
  }

  async run(step: NativeStep, context: NativeContext): Promise<NativeOutcome | undefined> {
    const vertex = step.vertex as Vertex<ExecOp>;
    const platform = formatPlatform(vertex.platform!);
    const { signal } = context;
    const affinity = context.session.sharedKey || context.session.id;
    const lost: { readonly name: string; readonly error: unknown }[] = [];
    try {
      for (let inputs: StoredLayer[][] | undefined; lost.length < TRIES; ) {
        const without = lost.map(({ name }) => name);
        const peer = await this.#find({ platform, affinity, without }, signal);
        if (!peer) break;
        inputs ??= await this.#bring(step.inputs, signal);
        const told = telling(context, peer, platform);
        try {
          const { layers, reused } = await new PeerStep(peer, this.#ports.log).run(
            { vertex, inputs, limits: step.limits },
            context,
          );
          return { outputs: [this.#ports.shared.ref(layers)], reused };
        } catch (error) {
          if (signal.aborted) throw canceled();
          if (!isKind(error, 'unavailable')) throw error;
          lost.push({ name: peer.name, error });
        } finally {
          told();
        }
      }
    } catch (error) {
      // What kept it from being asked for elsewhere; what came of it there is no such thing.
      if (signal.aborted) throw canceled();
      if (!isKind(error, 'unavailable') || !(await isRunnable(vertex.platform!))) throw error;
      this.#ports.log.warn({ err: error }, `a step for ${platform} is emulated`);
      return undefined;
    }
    const last = lost.at(-1);
    if (last && !(await isRunnable(vertex.platform!))) throw givenUp(last, platform);
    return undefined;
  }

  async #find(
    wish: Parameters<PeerWorkers['find']>[0],
    signal: AbortSignal,
  ): Promise<PeerWorker | undefined> {
    for (let asked = 1; ; asked++) {
      try {
        return await this.#ports.peers.find(wish, { signal });
      } catch (error) {
        if (signal.aborted) throw canceled();
        if (!isKind(error, 'unavailable') || asked >= ASKED) throw error;
        await sleep(RETRY, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Throws `unavailable` when the cache cannot be used. */
  async #bring(inputs: readonly Ref[], signal: AbortSignal): Promise<StoredLayer[][]> {
    try {
      return await Promise.all(inputs.map((input) => this.#brought(input, signal)));
    } catch (cause) {
      if (signal.aborted) throw canceled();
      throw unavailable(`the build cache does not take what a step stands on: ${messageOf(cause)}`, {
        cause,
      });
    }
  }

  async #brought(input: Ref, signal: AbortSignal): Promise<StoredLayer[]> {
    const { shared, local } = this.#ports;
    const ref = input.kind === 'layers' ? input : await local.import(input, { signal });
    try {
      return await shared.bring(ref, signal);
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
      // Of a registry that is another one, and not here yet.
      await local.require(ref, { signal });
      return await shared.bring(ref, signal);
    }
  }
}

function givenUp({ name, error }: { name: string; error: unknown }, platform: string): SlipwayError {
  return unavailable(`${name}, which did this step for ${platform}, was lost, and no other worker does`, {
    cause: error,
  });
}

/** Clients see who does it as a part of the step. Call what is answered at its end. */
function telling({ progress }: NativeContext, { name: worker }: PeerWorker, platform: string): () => void {
  const started = new Date();
  const name = `done by ${worker}, which is ${platform}`;
  const show = (over: { completed?: Date }) =>
    progress.status({ id: name, name, current: 0, total: 0, timestamp: new Date(), started, ...over });
  show({});
  return () => show({ completed: new Date() });
}
