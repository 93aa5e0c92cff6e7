import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { canceled, isKind, messageOf, type SlipwayError, unavailable } from '#errors/errors.ts';
import { formatPlatform } from '#oci/platform.ts';
import type { StoredLayer } from '#worker/build/cache/record-manifest.ts';
import { isNative, isRunnable } from '#worker/build/drivers/exec/emulation.ts';
import { isSharedLayers } from '#worker/build/drivers/source/shared-layers-source.ts';
import type { ExecOp } from '#worker/build/llb/op.ts';
import type { Vertex } from '#worker/build/llb/vertex.ts';
import type {
  NativeContext,
  NativeOutcome,
  NativeStep,
  NativeSteps,
} from '#worker/build/solve/native-steps.ts';
import type { LayersRef, Ref } from '#worker/build/solve/ref.ts';
import type { Offers } from '../client/offers.ts';
import { BroughtInputs, type BroughtInputsPorts } from './brought-inputs.ts';
import { canBeAsked, LostPeer, PeerStep } from './peer-step.ts';
import type { PeerWorker, PeerWorkers } from './peer-workers.ts';
import { openOffers } from './step-offers.ts';

export interface PeerStepsPorts extends BroughtInputsPorts {
  readonly peers: PeerWorkers;
  /** The cache that workers share, by which layers go to and fro. */
  readonly shared: BroughtInputsPorts['shared'] & { ref(layers: readonly StoredLayer[]): LayersRef };
  /** For what steps need while they run; what a killed worker left there is removed. */
  readonly directory: string;
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
  readonly #inputs: BroughtInputs;

  constructor(ports: PeerStepsPorts) {
    this.#ports = ports;
    this.#inputs = new BroughtInputs(ports);
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
    const { limits } = step;
    const platform = formatPlatform(vertex.platform!);
    const { session, signal } = context;
    const affinity = session.sharedKey || session.id;
    const lost: { readonly name: string; readonly error: unknown }[] = [];
    await using opened = new AsyncDisposableStack();
    let inputs: StoredLayer[][] | undefined;
    let offers: Offers | undefined;
    while (lost.length < TRIES) {
      const without = lost.map(({ name }) => name);
      let peer: PeerWorker | undefined;
      try {
        peer = await this.#find({ platform, affinity, without }, signal);
        if (peer) inputs ??= await this.#bring(step.inputs, context);
      } catch (error) {
        if (signal.aborted) throw canceled();
        if (!isKind(error, 'unavailable')) throw error;
        return await this.#emulated(vertex, context, error);
      }
      if (!peer || !inputs) break;
      const { directory, log } = this.#ports;
      // Once: it is the client's word, whoever does the step.
      offers ??= opened.use(await openOffers(vertex.op, session, { directory, signal }));
      const told = telling(context, `done by ${peer.name}, which is ${platform}`);
      try {
        const asked = { vertex, inputs, limits, offers };
        const { layers, reused } = await new PeerStep(peer, log).run(asked, context);
        return { outputs: [this.#ports.shared.ref(layers)], reused };
      } catch (error) {
        if (signal.aborted) throw canceled();
        if (!(error instanceof LostPeer)) throw error;
        log.warn({ err: error }, `${peer.name} was lost while it did a step for ${platform}`);
        lost.push({ name: peer.name, error });
      } finally {
        told();
      }
    }
    const last = lost.at(-1);
    return last && (await this.#emulated(vertex, context, givenUp(last, platform)));
  }

  /** Throws what keeps it from being done elsewhere when it cannot be done here either. */
  async #emulated(
    { platform }: Vertex<ExecOp>,
    context: NativeContext,
    error: SlipwayError,
  ): Promise<undefined> {
    if (!(await isRunnable(platform!))) throw error;
    this.#ports.log.warn({ err: error }, `a step for ${formatPlatform(platform!)} is emulated`);
    telling(context, `emulated here: ${error.message}`)();
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
  async #bring(
    inputs: readonly Ref[],
    { session, signal }: Pick<NativeContext, 'session' | 'signal'>,
  ): Promise<StoredLayer[][]> {
    try {
      return await Promise.all(inputs.map((input) => this.#inputs.bring(input, session, signal)));
    } catch (cause) {
      if (signal.aborted) throw canceled();
      throw unavailable(`the build cache does not take what a step stands on: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
}

function givenUp({ name, error }: { name: string; error: unknown }, platform: string): SlipwayError {
  return unavailable(`${name}, which did this step for ${platform}, was lost, and no other worker does`, {
    cause: error,
  });
}

/** Clients see it as a part of the step. Call what is answered at its end. */
function telling({ progress }: NativeContext, name: string): () => void {
  const started = new Date();
  const show = (over: { completed?: Date }) =>
    progress.status({ id: name, name, current: 0, total: 0, timestamp: new Date(), started, ...over });
  show({});
  return () => show({ completed: new Date() });
}
