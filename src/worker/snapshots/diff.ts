import type { Digest } from '#oci/digest.ts';

/** Unpacks a layer into a snapshot. */
export interface DiffApplier {
  /**
   * Applies a layer tar (OCI image-spec, layer.md: whiteouts, opaque directories, hard links, devices, xattrs),
   * plain or compressed with gzip or zstd, to the active snapshot `key`. Nothing is written outside of it,
   * whatever the tar says. Throws
   * `invalid` for a broken or hostile tar, `too-large`, `unsupported`; the snapshot is then to be removed.
   */
  apply(
    key: string,
    tar: AsyncIterable<Uint8Array>,
    options?: { signal?: AbortSignal },
  ): Promise<AppliedDiff>;
}

export interface AppliedDiff {
  /** Digest of the uncompressed tar. */
  readonly diffId: Digest;
  /** Of file content. */
  readonly bytes: number;
  /** Of the uncompressed tar. */
  readonly tarBytes: number;
}

/** What a snapshot changed compared with its parent, as `docker diff` names it. */
export interface Change {
  /** Absolute in the container. */
  readonly path: string;
  readonly kind: 'modified' | 'added' | 'deleted';
}

export interface TarOptions {
  /** Each piece is the reader's only until it asks for the next one, which may have the same memory. */
  readonly lent?: boolean;
}

/** Reads a snapshot's own changes. The snapshot must not be written meanwhile for the result to be exact. */
export interface DiffComparer {
  /** The changes as an uncompressed layer tar. The same tree gives the same bytes, today and tomorrow. */
  tar(key: string, options?: TarOptions): AsyncIterable<Uint8Array>;

  /**
   * That tar's digest and sizes, without handing the bytes over. `settle`, of an active snapshot that is not mounted:
   * it is rid of what changes nothing first, and hides what is below by naming it, so that it means the same on other
   * layers.
   */
  digest(key: string, options?: { settle?: boolean }): Promise<AppliedDiff>;

  /** Sorted by path; a changed file's parent directories count as modified. */
  changes(key: string): Promise<Change[]>;
}
