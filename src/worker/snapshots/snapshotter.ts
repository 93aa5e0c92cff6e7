import type { Mount } from './mount.ts';

/** `active` is writable and has an owner; `committed` never changes again and can be a parent. */
export type SnapshotKind = 'active' | 'committed';

export interface SnapshotInfo {
  readonly key: string;
  readonly kind: SnapshotKind;
  readonly parent: string | undefined;
  readonly createdAt: Date;
}

/**
 * File trees stacked on each other. A committed snapshot is named by its layer's chain ID, an active one by
 * its owner (a container's ID, a build step). Keys are unique across both kinds.
 *
 * Crash-only: a snapshot that was being prepared, committed or removed when the process died is either whole
 * or gone after the next start. Concurrency: safe for different keys; one caller at a time for one key.
 */
export interface Snapshotter {
  /** A writable snapshot on top of a committed parent, or on nothing. Throws `conflict`, `not-found`. */
  prepare(key: string, parent?: string): Promise<Mount>;

  /** How to mount it: an active one writable, a committed one read-only. Throws `not-found`. */
  mount(key: string): Promise<Mount>;

  /**
   * Makes an active snapshot a committed one under `name`. Throws `conflict` if `name` exists: the caller keeps
   * `key`. With `parent` it is put on top of that committed snapshot, whatever it was prepared on: layers are
   * unpacked side by side and stacked afterwards.
   */
  commit(key: string, name: string, options?: { parent?: string }): Promise<void>;

  /**
   * Makes a committed snapshot `name` of what `source` changed, on top of `parent`: one layer in several stacks.
   * Nothing is copied. Throws `conflict` if `name` exists, `not-found`.
   */
  graft(source: string, name: string, parent?: string): Promise<void>;

  /** Throws `conflict` while another snapshot stands on it; not finding it is no error. */
  remove(key: string): Promise<void>;

  stat(key: string): Promise<SnapshotInfo | undefined>;

  /** Directory that holds this snapshot's own changes (overlay's upper directory), for appliers and comparers. */
  directory(key: string): Promise<string>;

  /** The same of the snapshots that it stands on, top first. */
  lowerDirectories(key: string): Promise<string[]>;

  /** Bytes and inodes of its own changes, without parents. */
  usage(key: string): Promise<{ bytes: number; inodes: number }>;

  walk(): AsyncIterable<SnapshotInfo>;
}
