import type { Digest } from '#oci/digest.ts';
import type { Attestation } from '../attest/attestation.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { ProgressSink } from '../solve/progress.ts';
import type { Ref } from '../solve/ref.ts';
import type { ExportedResult } from './image-writer.ts';

/** Hands over what a build came to. */
export interface Exporter {
  /**
   * Answers attributes for the client (BuildKit's `ExporterResponse`: `containerimage.digest` …). Throws `invalid` for
   * attributes that make no sense. Whatever happens, no half of an image is visible.
   */
  export(result: SolvedResult, context: ExportContext): Promise<Readonly<Record<string, string>>>;
}

export interface SolvedResult {
  /** As in `FrontendResult`. */
  readonly refs: ReadonlyMap<string, Ref | undefined>;
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  /** What is stated of each outcome, by the name that it has in `refs`. */
  readonly attestations?: ReadonlyMap<string, readonly Attestation[]>;
  /** What an image's configuration says of the steps that made it, if it is to: by the name in `refs`, and its layers. */
  readonly inlineCache?: (name: string, diffIds: readonly Digest[]) => Promise<Uint8Array | undefined>;
}

export interface ExportContext {
  /** `--output` without `type`. */
  readonly attrs: Readonly<Record<string, string>>;
  /** Position among the build's exporters, by which the client knows it. */
  readonly exporterId: number;
  readonly session: BuildSession;
  /** Export is shown as a vertex: `exporting to image`. */
  readonly progress: ProgressSink;
  /** Hears of the image that was handed over, if it was one. */
  readonly exported?: (image: ExportedResult) => void;
  readonly signal: AbortSignal;
}
