import type { OciSpec } from '../spec/oci-spec.ts';

/**
 * Runs the commands of a build: containers with neither terminal, stdin, log nor monitor. Unlike a task, a step
 * ends with the worker that began it; what a killed worker left behind goes with `reconcile`.
 *
 * Concurrency: steps of different ids run at once.
 */
export interface StepRunner {
  /**
   * Runs a step to its end; its output arrives while it runs, in order within each stream, and is not read faster
   * than `output` resolves. An abort kills everything in it and rejects with the signal's reason. Throws `invalid`
   * with the runtime's own words when the command cannot be started. In every case nothing is left.
   */
  run(request: StepRequest, options?: { signal?: AbortSignal }): Promise<StepExit>;

  /** Another step will follow soon: does what it can for it already, and gives that up when none comes. */
  prepare(): void;

  /** Ends and removes all steps that have a trace on this machine. For the start of a worker. */
  reconcile(): Promise<void>;

  /** No step runs any more, and none will. */
  stop(): Promise<void>;
}

export interface StepRequest {
  /** Its root path is mounted already. */
  readonly spec: OciSpec;
  readonly output: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => Promise<void>;
}

export interface StepExit {
  /** 0–255; killed by signal n: 128 + n. */
  readonly code: number;
  /** The kernel killed in it for want of the memory that its limit allows. */
  readonly outOfMemory: boolean;
}
