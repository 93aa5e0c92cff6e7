import { chainId } from '#oci/chain-id.ts';
import type { Digest } from '#oci/digest.ts';

/** What a vertex came to. */
export type Result = LayersResult | ContextResult | DownloadResult;

/** A root file system: the diff IDs of its layers, bottom first. */
export interface LayersResult {
  readonly kind: 'layers';
  readonly diffIds: readonly Digest[];
}

export interface ContextResult {
  readonly kind: 'context';
}

/** A directory of this machine with one file in it. */
export interface DownloadResult {
  readonly kind: 'download';
  readonly directory: string;
  readonly name: string;
}

/** The name of a result's topmost snapshot; undefined for an empty file system. */
export function snapshotOf(result: LayersResult): Digest | undefined {
  return result.diffIds.length === 0 ? undefined : chainId(result.diffIds);
}

export function layersOf(result: Result | undefined): LayersResult {
  if (result?.kind !== 'layers') throw new TypeError('this input is not a file system');
  return result;
}
