/**
 * What a container is to be, in the words of `docker run`, free of the Engine API's shapes: containers and
 * build steps both describe themselves with it, and `createSpec` turns it into an OCI runtime configuration.
 */
export interface SpecRequest {
  /** 64 hex digits, or any id the runtime takes; also names the cgroup. */
  readonly id: string;
  /** Absolute path of the mounted root file system. */
  readonly rootfs: string;
  readonly readonlyRootfs?: boolean;

  readonly args: readonly string[];
  /** `NAME=value`, complete (PATH, HOME, HOSTNAME, TERM are the caller's to default). */
  readonly env: readonly string[];
  readonly cwd: string;
  /** `name|uid[:group|gid]`, looked up in the rootfs; empty is root. */
  readonly user?: string;
  readonly groupAdd?: readonly string[];
  readonly terminal?: boolean;
  readonly consoleSize?: { readonly height: number; readonly width: number };

  readonly hostname?: string;
  readonly domainname?: string;
  readonly init?: boolean;
  readonly privileged?: boolean;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  /** As in `--security-opt`: `seccomp=unconfined`, `seccomp=<json>`, `no-new-privileges`, `apparmor=…`, `systempaths=unconfined`. */
  readonly securityOpt?: readonly string[];
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly oomScoreAdj?: number;
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly devices?: readonly {
    readonly pathOnHost: string;
    readonly pathInContainer: string;
    readonly permissions: string;
  }[];
  readonly deviceCgroupRules?: readonly string[];

  readonly namespaces: {
    /** A namespace's path, `host`, or `new` for an empty one (loopback only). */
    readonly network: string;
    readonly pid?: 'private' | 'host' | { readonly path: string };
    readonly ipc?: 'private' | 'host' | 'none' | { readonly path: string };
    readonly uts?: 'private' | 'host';
    readonly cgroup?: 'private' | 'host';
  };
  /** In mounting order; a destination that equals a default mount replaces it. */
  readonly mounts: readonly SpecMount[];
  /** Bytes of /dev/shm. */
  readonly shmSize?: number;

  readonly resources?: SpecResources;
  readonly cgroupParent?: string;
}

export interface SpecMount {
  readonly type: 'bind' | 'tmpfs';
  /** Host path for a bind. */
  readonly source?: string;
  readonly destination: string;
  readonly readonly?: boolean;
  /** Further options as of mount(8): `size=64m`, `mode=1777`, `rprivate`, `noexec` … */
  readonly options?: readonly string[];
}

/** Units as in the Engine API: bytes; NanoCpus = 10⁻⁹ CPUs; CFS microseconds. 0 or absent: no limit; -1: unlimited. */
export interface SpecResources {
  readonly memory?: number;
  readonly memorySwap?: number;
  readonly memoryReservation?: number;
  readonly memorySwappiness?: number;
  readonly oomKillDisable?: boolean;
  readonly nanoCpus?: number;
  readonly cpuShares?: number;
  readonly cpuQuota?: number;
  readonly cpuPeriod?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly pidsLimit?: number;
  readonly blkioWeight?: number;
}
