export interface Volume {
  readonly name: string;
  readonly driver: 'local';
  /** Absolute host path of its root directory. */
  readonly mountpoint: string;
  readonly createdAt: Date;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** Made for one container without a name; `docker rm -v` and `--rm` take it along. */
  readonly anonymous: boolean;
}

/** What containers and builds need of volumes; the API's needs are in the service. */
export interface Volumes {
  /** Makes it, or answers the one that has this name. Without a name: anonymous, 64 hex digits. Throws `invalid`, `conflict` (other driver or options). */
  create(request: {
    name?: string;
    driver?: string;
    labels?: Record<string, string>;
    options?: Record<string, string>;
  }): Promise<Volume>;
  get(name: string): Promise<Volume | undefined>;
  /** Marks it as used by a container until `release`; a used volume is not removed or pruned. Mounts it when its options ask for that (nfs, tmpfs). */
  acquire(name: string, containerId: string): Promise<Volume>;
  release(name: string, containerId: string): Promise<void>;
  /** Throws `not-found`, `conflict` (in use). */
  remove(name: string, options?: { force?: boolean }): Promise<void>;
}
