import type { Container, ContainerState, MountPoint } from '../containers/container.ts';
import { ContainerFiles } from '../containers/container-files.ts';
import type { ContainerStore } from '../containers/container-store.ts';
import type { ContainerSize } from '../containers/list/container-sizes.ts';
import { networkSettingsShape } from './containers-network-shape.ts';

/** `GET /containers/{id}/json`. */
export function inspectShape(
  container: Container,
  options: { root: string; size?: ContainerSize; store: ContainerStore },
): object {
  const { record } = container;
  const files = new ContainerFiles(options.root, container.id);
  const execs = [...container.execs];
  return {
    Id: container.id,
    Created: record.createdAt,
    Path: record.path,
    Args: record.args,
    State: stateShape(container.state),
    Image: record.imageId,
    ResolvConfPath: files.resolvConf,
    HostnamePath: files.hostname,
    HostsPath: files.hosts,
    LogPath: files.log,
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: 'overlay2',
    Platform: record.platform,
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: execs.length > 0 ? execs : null,
    HostConfig: { ...record.hostConfig, Links: linksShape(container, options.store) },
    GraphDriver: { Data: { MergedDir: files.rootfs }, Name: 'overlay2' },
    ...(options.size && { SizeRw: options.size.own, SizeRootFs: options.size.total }),
    Mounts: record.mounts.map(mountShape),
    Config: { ...record.config, OnBuild: record.config.OnBuild ?? null },
    NetworkSettings: networkSettingsShape(container),
  };
}

export function mountShape(mount: MountPoint): object {
  return {
    Type: mount.type,
    ...(mount.name !== undefined && { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver && mount.type === 'volume' && { Driver: mount.driver }),
    Mode: mount.mode,
    RW: mount.writable,
    Propagation: mount.propagation,
  };
}

function stateShape(state: ContainerState): object {
  const { status, health } = state;
  return {
    Status: status,
    Running: status === 'running' || status === 'paused' || status === 'restarting',
    Paused: status === 'paused',
    Restarting: status === 'restarting',
    OOMKilled: state.oomKilled,
    Dead: status === 'dead',
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    ...(health && {
      Health: {
        Status: health.status,
        FailingStreak: health.failingStreak,
        Log: health.log.map((result) => ({
          Start: result.start,
          End: result.end,
          ExitCode: result.exitCode,
          Output: result.output,
        })),
      },
    }),
  };
}

/** `/target:/container/alias`. */
function linksShape({ record }: Container, store: ContainerStore): string[] | null {
  const { Links } = record.hostConfig;
  if (!Links?.length) return null;
  return Links.map((text) => {
    const [name = '', alias = name] = text.split(':');
    return `/${store.find(name)?.name ?? name.replace(/^\//, '')}:/${record.name}/${alias}`;
  });
}
