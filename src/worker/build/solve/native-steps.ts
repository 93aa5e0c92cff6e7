import type { Vertex } from '../llb/vertex.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { BuildLimits } from './op-driver.ts';
import type { LayersRef, Ref } from './ref.ts';
import type { StepWatcher } from './step-broadcast.ts';

/** A step whose inputs are there. */
export interface NativeStep {
  readonly vertex: Vertex;
  readonly inputs: readonly Ref[];
  readonly limits: BuildLimits;
}

export interface NativeContext {
  readonly session: BuildSession;
  readonly progress: Pick<StepWatcher, 'status' | 'log'>;
  readonly signal: AbortSignal;
}

export interface NativeOutcome {
  readonly outputs: readonly LayersRef[];
  /** It had been done before. */
  readonly reused: boolean;
}

/**
 * PORT: has steps for other platforms than this machine's done by workers that are of those. Whoever does a step agrees with
 * others on that, and takes a turn there: who asks for it must have neither a claim nor a turn meanwhile.
 */
export interface NativeSteps {
  /** Whether it is a step that another worker may be asked for. */
  isForeign(step: Pick<NativeStep, 'vertex' | 'limits'>): boolean;

  /**
   * Has it done elsewhere. undefined: it is this machine's to do, as well as that can, because no worker is of that platform.
   * Throws `BuildFailure` when the command fails, and `unavailable` when workers were lost and this machine cannot do it.
   */
  run(step: NativeStep, context: NativeContext): Promise<NativeOutcome | undefined>;
}
