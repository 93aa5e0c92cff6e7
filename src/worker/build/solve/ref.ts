import type { Fetcher } from '#distribution/fetcher.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';
import type { TreeChanges } from '../files/tree-memory.ts';

/** What an edge came to: an immutable file tree. It can be used until its build ends. */
export type Ref = LayersRef | DirectoryRef;

/**
 * Layers, bottom first; none: an empty file system. They may be lazy: those with a `remote` need not be on this
 * machine until somebody mounts them (`Layers.require`).
 */
export interface LayersRef {
  readonly kind: 'layers';
  readonly layers: readonly RefLayer[];
}

export interface RefLayer {
  readonly diffId: Digest;
  /** When the step that made it ended, first of all times; undefined for layers of base images. */
  readonly createdAt?: Date;
  /** Where its blob is, when that is known. */
  readonly remote?: RemoteLayer;
}

export interface RemoteLayer {
  readonly descriptor: Descriptor;
  readonly fetcher: BlobFetcher;
}

/** A repository of a registry's, or a content store of a client's. */
export interface BlobFetcher extends Pick<Fetcher, 'blob'> {
  /** Hears of layers that could not be had, or were not what they were said to be. */
  failed?(layers: readonly Descriptor[]): void;
}

/** A directory of this machine: a client's, as it was synced; a checkout; a download. */
export interface DirectoryRef {
  readonly kind: 'directory';
  /** Absolute. Never written to. */
  readonly root: string;
  /** Identifies its contents among directories, so that what was computed of them can be kept. */
  readonly id: string;
  /** How it differs from what it was before, if that is known. */
  readonly changes?: TreeChanges;
  /** There is no later build that it serves: nothing need be remembered of its files. */
  readonly passing?: boolean;
  /** Only what is in it was sent: its own mode and owner mean nothing. */
  readonly bare?: boolean;
}

export const EMPTY: LayersRef = { kind: 'layers', layers: [] };
