import type { Edge } from './vertex.ts';

/** A file that a build was described in, as errors and warnings quote it. */
export interface SourceInfo {
  readonly filename: string;
  readonly data: Uint8Array;
  readonly language: 'Dockerfile' | (string & {});
  /** What its client says it can be had by, in that client's words: handed on as it is. */
  readonly definition?: object;
  /** What it was read from, where that was this builder. */
  readonly edge?: Edge;
}

/** Lines and columns count from 1 and 0, as in `pb.Range`; `end` is included. */
export interface Range {
  readonly start: { readonly line: number; readonly character: number };
  readonly end: { readonly line: number; readonly character: number };
}

export interface SourceRange {
  readonly info: SourceInfo;
  readonly ranges: readonly Range[];
}
