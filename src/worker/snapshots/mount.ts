/** The arguments of one mount(2) call, target apart: the common coin between snapshots, containers and builds. */
export interface Mount {
  /** `overlay`, `bind`, or any other file system of the kernel's (`tmpfs`, `nfs`), which volumes ask for. */
  readonly type: string;
  readonly source: string;
  /** As in fstab: `ro`, `rbind`, `lowerdir=…`. */
  readonly options: readonly string[];
}

export interface Mounter {
  /** Mounts at `target`, which exists. Throws `unavailable` with the system's reason. */
  mount(mount: Mount, target: string): Promise<void>;
  /** Unmounts what is mounted at `target`, all layers of it, lazily if it is busy; not mounted is no error. */
  unmount(target: string): Promise<void>;
  /** Mount points below a directory, deepest first, read from the kernel. */
  mountsBelow(directory: string): Promise<string[]>;
}
