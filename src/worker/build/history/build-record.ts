import type { Descriptor } from '#oci/descriptor.ts';

/** A build as it is remembered. Nothing in it is secret. */
export interface BuildRecord {
  readonly ref: string;
  readonly frontend: string;
  readonly frontendOptions: Readonly<Record<string, string>>;
  readonly exporters: readonly { readonly type: string; readonly attrs: Readonly<Record<string, string>> }[];
  readonly createdAt: Date;
  /** undefined: under way. */
  readonly completedAt?: Date;
  readonly error?: BuildFault;
  /** The exporters' attributes for the client. */
  readonly response: Readonly<Record<string, string>>;
  readonly steps: readonly StepRecord[];
  readonly warnings: number;
  /** undefined: under way, or from before there were any. */
  readonly attachments?: BuildAttachments;
}

/** What is kept with a build, to be found by digest in the documents of the history. */
export interface BuildAttachments {
  readonly log?: Descriptor;
  readonly trace?: Descriptor;
  readonly error?: Descriptor;
  /** What is stated of its outcomes, by platform; '' stands for the only one. */
  readonly attestations: Readonly<Record<string, readonly Descriptor[]>>;
  /** The images that its exporters made, by exporter. */
  readonly results: Readonly<Record<number, Descriptor>>;
}

/** Why a build failed. */
export interface BuildFault {
  readonly kind: string;
  readonly message: string;
  /** The lines of the Dockerfile that it is about, as BuildKit's clients print them. */
  readonly excerpt?: string;
  /** Of the command that failed. */
  readonly exitCode?: number;
}

export interface StepRecord {
  readonly digest: string;
  readonly name: string;
  /** Digests of the steps that it stands on. */
  readonly inputs?: readonly string[];
  readonly startedAt?: Date;
  readonly completedAt?: Date;
  /** In milliseconds, over all that it took. */
  readonly duration: number;
  readonly completed: boolean;
  readonly cached: boolean;
  readonly error?: string;
  /** Why it was not found in the cache, as far as that is known. */
  readonly missed?: string;
}

export type BuildState = 'running' | 'completed' | 'failed' | 'canceled';

export function stateOf({ completedAt, error }: BuildRecord): BuildState {
  if (!completedAt) return 'running';
  if (!error) return 'completed';
  return error.kind === 'canceled' ? 'canceled' : 'failed';
}

/** Where a list goes on: behind this build. */
export interface BuildPosition {
  readonly createdAt: Date;
  readonly ref: string;
}

export interface HistoryEvent {
  readonly type: 'started' | 'complete' | 'deleted';
  readonly record: KeptRecord;
}

export interface KeptRecord extends BuildRecord {
  /** Is not forgotten by itself. */
  readonly pinned: boolean;
  readonly generation: number;
}
