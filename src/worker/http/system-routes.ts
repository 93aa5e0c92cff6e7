import type { Host } from '../system/host.ts';
import { pingRoutes } from './ping-routes.ts';
import type { EngineRouter } from './router.ts';
import { API_VERSION, MIN_API_VERSION } from './server.ts';

/** A line of `docker info`. */
export const DISK_STATUS = 'Disk';

export interface SystemServices {
  /** Stable for one data directory. */
  readonly id: string;
  readonly slipwayVersion: string;
  readonly host: Host;
  readonly dataDir: string;
  readonly components: { readonly runc: string; readonly conmon: string };
  readonly cgroupVersion: '1' | '2';
  readonly seccomp: boolean;
  readonly registryMirrors: readonly string[];
  /** As `docker info` shows them: CIDRs apart from names. */
  readonly insecureRegistries: { readonly cidrs: readonly string[]; readonly names: readonly string[] };
  readonly counts: () => Promise<{
    containers: number;
    running: number;
    paused: number;
    stopped: number;
    images: number;
  }>;
  /** In bytes; undefined where the engine's disk is the machine's. */
  readonly disk?: (() => Promise<{ readonly limit: number; readonly used: number } | undefined>) | undefined;
}

/** Ping, version and info. */
export function systemRoutes(router: EngineRouter, services: SystemServices): void {
  // BuildKit, which the classic builder's clients have to ask against: as of Docker 23.
  pingRoutes(router);
  router.get('/version', (ctx) => {
    ctx.body = versionShape(services);
  });
  router.get('/info', async (ctx) => {
    ctx.body = await infoShape(services);
  });
}

function versionShape({ host, slipwayVersion, components }: SystemServices): object {
  const engine = {
    ApiVersion: API_VERSION,
    Arch: goArchitecture(host),
    GitCommit: '',
    GoVersion: `node ${process.version}`,
    KernelVersion: host.kernelVersion,
    MinAPIVersion: MIN_API_VERSION,
    Os: 'linux',
  };
  return {
    Platform: { Name: 'Slipway' },
    Version: slipwayVersion,
    ...engine,
    Components: [
      { Name: 'Engine', Version: slipwayVersion, Details: { ...engine, Experimental: 'false' } },
      ...Object.entries(components).map(([Name, Version]) => ({ Name, Version, Details: {} })),
    ],
  };
}

async function infoShape(services: SystemServices): Promise<object> {
  const { host, components, insecureRegistries, registryMirrors } = services;
  const counts = await services.counts();
  const disk = await services.disk?.();
  const unlimited = { MemoryLimit: true, SwapLimit: true, CpuCfsPeriod: true, CpuCfsQuota: true };
  return {
    ID: services.id,
    Containers: counts.containers,
    ContainersRunning: counts.running,
    ContainersPaused: counts.paused,
    ContainersStopped: counts.stopped,
    Images: counts.images,
    Driver: 'overlay2',
    DriverStatus: [
      ['Backing Filesystem', 'overlayfs snapshots'],
      ...(disk ? [[DISK_STATUS, `${disk.used} of ${disk.limit} bytes used`]] : []),
    ],
    Plugins: {
      Volume: ['local'],
      Network: ['bridge', 'host', 'null'],
      Authorization: null,
      Log: ['json-file'],
    },
    ...unlimited,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    Debug: false,
    NFd: 0,
    OomKillDisable: services.cgroupVersion === '1',
    NGoroutines: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: 'json-file',
    CgroupDriver: 'cgroupfs',
    CgroupVersion: services.cgroupVersion,
    NEventsListener: 0,
    KernelVersion: host.kernelVersion,
    OperatingSystem: host.operatingSystem,
    OSVersion: host.osVersion,
    OSType: 'linux',
    Architecture: host.machine,
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: {
      AllowNondistributableArtifactsCIDRs: null,
      AllowNondistributableArtifactsHostnames: null,
      InsecureRegistryCIDRs: insecureRegistries.cidrs,
      IndexConfigs: Object.fromEntries(
        ['docker.io', ...insecureRegistries.names].map((name) => [
          name,
          {
            Name: name,
            Mirrors: name === 'docker.io' ? registryMirrors : [],
            Secure: name === 'docker.io',
            Official: name === 'docker.io',
          },
        ]),
      ),
      Mirrors: registryMirrors,
    },
    NCPU: host.cpus,
    MemTotal: host.memory,
    GenericResources: null,
    DockerRootDir: services.dataDir,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: host.name,
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: services.slipwayVersion,
    Runtimes: { runc: { path: 'runc' } },
    DefaultRuntime: 'runc',
    Swarm: {
      NodeID: '',
      NodeAddr: '',
      LocalNodeState: 'inactive',
      ControlAvailable: false,
      Error: '',
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: '',
    InitBinary: 'docker-init',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: components.runc },
    InitCommit: { ID: '' },
    SecurityOptions: services.seccomp ? ['name=seccomp,profile=builtin'] : [],
    Warnings: null,
  };
}

function goArchitecture(host: Host): string {
  return host.machine === 'x86_64' ? 'amd64' : host.machine === 'aarch64' ? 'arm64' : host.machine;
}
