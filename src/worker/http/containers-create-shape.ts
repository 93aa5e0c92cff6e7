import { z } from 'zod';
import type { ContainerConfig, EndpointConfig } from '../containers/container-config.ts';
import type { HostConfig, Resources } from '../containers/host-config.ts';
import {
  anything, flag, integer, keySet, optionalFlag, optionalInteger, text, textMap, texts, words,
} from './lenient-schema.ts'; // biome-ignore format: one word after another

const healthcheck = z
  .object({
    Test: z
      .array(z.string())
      .nullish()
      .transform((value) => value ?? undefined),
    Interval: integer,
    Timeout: integer,
    StartPeriod: integer,
    StartInterval: integer,
    Retries: integer,
  })
  .nullish()
  .transform((value) => {
    if (!value) return undefined;
    return Object.fromEntries(
      Object.entries(value).filter(([, field]) => field),
    ) as ContainerConfig['Healthcheck'];
  });

const config = {
  Hostname: text,
  Domainname: text,
  User: text,
  AttachStdin: flag,
  AttachStdout: flag,
  AttachStderr: flag,
  ExposedPorts: keySet,
  Tty: flag,
  OpenStdin: flag,
  StdinOnce: flag,
  Env: texts,
  Cmd: words,
  Healthcheck: healthcheck,
  Image: text,
  Volumes: keySet,
  WorkingDir: text,
  Entrypoint: words,
  NetworkDisabled: flag,
  MacAddress: text,
  OnBuild: texts,
  Labels: textMap,
  StopSignal: text,
  StopTimeout: optionalInteger,
  Shell: words,
};

const ulimit = z.object({ Name: text, Soft: integer, Hard: integer });
const device = z.object({ PathOnHost: text, PathInContainer: text, CgroupPermissions: text });

const resources = {
  CpuShares: integer,
  Memory: integer,
  NanoCpus: integer,
  CgroupParent: text,
  BlkioWeight: integer,
  BlkioWeightDevice: anything,
  BlkioDeviceReadBps: anything,
  BlkioDeviceWriteBps: anything,
  BlkioDeviceReadIOps: anything,
  BlkioDeviceWriteIOps: anything,
  CpuPeriod: integer,
  CpuQuota: integer,
  CpuRealtimePeriod: integer,
  CpuRealtimeRuntime: integer,
  CpusetCpus: text,
  CpusetMems: text,
  Devices: z
    .array(device)
    .nullish()
    .transform((value) => value ?? null),
  DeviceCgroupRules: texts,
  DeviceRequests: anything,
  MemoryReservation: integer,
  MemorySwap: integer,
  MemorySwappiness: optionalInteger,
  OomKillDisable: optionalFlag,
  PidsLimit: optionalInteger,
  Ulimits: z
    .array(ulimit)
    .nullish()
    .transform((value) => value ?? null),
  CpuCount: integer,
  CpuPercent: integer,
  IOMaximumIOps: integer,
  IOMaximumBandwidth: integer,
};

const restartPolicy = z
  .object({ Name: text, MaximumRetryCount: integer })
  .nullish()
  .transform((value) => value ?? { Name: '', MaximumRetryCount: 0 });

const portBindings = z
  .record(z.string(), z.array(z.object({ HostIp: text, HostPort: text })).nullable())
  .nullish()
  .transform((value) => value ?? {});

const mount = z.object({
  Type: text,
  Source: z.string().optional(),
  Target: text,
  ReadOnly: z.boolean().optional(),
  Consistency: z.string().optional(),
  BindOptions: z
    .object({
      Propagation: z.string().optional(),
      NonRecursive: z.boolean().optional(),
      CreateMountpoint: z.boolean().optional(),
      ReadOnlyNonRecursive: z.boolean().optional(),
      ReadOnlyForceRecursive: z.boolean().optional(),
    })
    .nullish()
    .transform((value) => value ?? undefined),
  VolumeOptions: z
    .object({
      NoCopy: z.boolean().optional(),
      Labels: textMap,
      DriverConfig: z
        .object({ Name: z.string().optional(), Options: textMap })
        .nullish()
        .transform((value) => value ?? undefined),
      Subpath: z.string().optional(),
    })
    .nullish()
    .transform((value) => value ?? undefined),
  ImageOptions: z
    .object({ Subpath: z.string().optional() })
    .nullish()
    .transform((value) => value ?? undefined),
  TmpfsOptions: z
    .object({
      SizeBytes: z.number().optional(),
      Mode: z.number().optional(),
      Options: z.array(z.array(z.string())).optional(),
    })
    .nullish()
    .transform((value) => value ?? undefined),
});

const hostConfig = {
  Binds: texts,
  ContainerIDFile: text,
  LogConfig: z
    .object({ Type: text, Config: textMap })
    .nullish()
    .transform((value) => ({ Type: value?.Type ?? '', Config: value?.Config ?? {} })),
  NetworkMode: text,
  PortBindings: portBindings,
  RestartPolicy: restartPolicy,
  AutoRemove: flag,
  VolumeDriver: text,
  VolumesFrom: texts,
  ConsoleSize: z
    .tuple([z.number(), z.number()])
    .nullish()
    .transform((value) => value ?? ([0, 0] as [number, number])),
  Annotations: textMap,
  CapAdd: words,
  CapDrop: words,
  CgroupnsMode: text,
  Dns: texts,
  DnsOptions: texts,
  DnsSearch: texts,
  ExtraHosts: texts,
  GroupAdd: texts,
  IpcMode: text,
  Cgroup: text,
  Links: texts,
  OomScoreAdj: integer,
  PidMode: text,
  Privileged: flag,
  PublishAllPorts: flag,
  ReadonlyRootfs: flag,
  SecurityOpt: texts,
  StorageOpt: textMap,
  Tmpfs: textMap,
  UTSMode: text,
  UsernsMode: text,
  ShmSize: integer,
  Sysctls: textMap,
  Runtime: text,
  Isolation: text,
  ...resources,
  Mounts: z
    .array(mount)
    .nullish()
    .transform((value) => value ?? undefined),
  MaskedPaths: texts,
  ReadonlyPaths: texts,
  Init: z
    .boolean()
    .nullish()
    .transform((value) => value ?? undefined),
};

export const endpointShape = z
  .object({
    IPAMConfig: z
      .object({
        IPv4Address: z.string().optional(),
        IPv6Address: z.string().optional(),
        LinkLocalIPs: z
          .array(z.string())
          .nullish()
          .transform((value) => value ?? undefined),
      })
      .nullish()
      .transform((value) => value ?? null),
    Links: texts,
    Aliases: texts,
    MacAddress: text,
    DriverOpts: textMap.transform((value) => value ?? null),
    GwPriority: integer,
  })
  .nullish()
  .transform(
    (value): EndpointConfig =>
      value ?? {
        IPAMConfig: null,
        Links: null,
        Aliases: null,
        MacAddress: '',
        DriverOpts: null,
        GwPriority: 0,
      },
  );

/** The body of `POST /containers/create`. */
export const createShape = z
  .object({
    ...config,
    HostConfig: z.object(hostConfig).nullish(),
    NetworkingConfig: z.object({ EndpointsConfig: z.record(z.string(), endpointShape).nullish() }).nullish(),
  })
  .transform(({ HostConfig: host, NetworkingConfig: networking, ...own }) => ({
    config: configOf(own),
    hostConfig: (host ?? z.object(hostConfig).parse({})) as HostConfig,
    endpoints: networking?.EndpointsConfig ?? {},
  }));

/** The body of `POST /containers/{id}/update`. */
export const updateShape = z
  .object({ ...resources, RestartPolicy: restartPolicy })
  .transform(({ RestartPolicy, ...limits }) => ({
    restartPolicy: RestartPolicy,
    resources: limits as Resources,
  }));

/** The configuration in the body of `POST /commit`. */
export const commitConfigShape = z.object(config).partial();

type OwnConfig = z.infer<z.ZodObject<typeof config>>;

function configOf(own: OwnConfig): ContainerConfig {
  const { ExposedPorts, Healthcheck, NetworkDisabled, MacAddress, StopSignal, StopTimeout, Shell, ...rest } =
    own;
  return {
    ...rest,
    Volumes: own.Volumes ?? null,
    Labels: own.Labels ?? {},
    ...(ExposedPorts && { ExposedPorts }),
    ...(Healthcheck && { Healthcheck }),
    ...(NetworkDisabled && { NetworkDisabled }),
    ...(MacAddress && { MacAddress }),
    ...(StopSignal && { StopSignal }),
    ...(StopTimeout !== null && { StopTimeout }),
    ...(Shell && { Shell }),
  };
}
