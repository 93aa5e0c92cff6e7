import type { Digest } from '#oci/digest.ts';
import type { Op } from './op.ts';
import type { Result } from './result.ts';

/** How one kind of op is keyed and run. */
export interface OpRunner<O extends Op = Op> {
  /**
   * Content keys, cheapest first: what the op does and what its inputs *are*, wherever they came from. Asked for
   * one after the other, until one hits.
   */
  contentKeys(op: O, inputs: readonly Result[]): AsyncIterable<string>;

  /** Does it. The layer that it adds, if any, is retained in the image store for `user`. */
  run(op: O, inputs: readonly Result[], options: RunOptions): Promise<OpResult>;
}

export interface RunOptions {
  readonly user: string;
  readonly observer: StepObserver;
}

export interface OpResult {
  readonly result: Result;
  /** What was added on top of input 0. */
  readonly layer?: { readonly diffId: Digest; readonly bytes: number };
}

/** Hears what happens to a vertex while it is solved. */
export interface StepObserver {
  cached(): Promise<void>;
  /** A command starts in a container of this id. */
  running(id: string): Promise<void>;
  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void>;
  removed(id: string): Promise<void>;
}
