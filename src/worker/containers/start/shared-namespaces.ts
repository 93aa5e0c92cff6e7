import { conflict } from '#errors/errors.ts';
import type { Container } from '../container.ts';
import { ContainerFiles } from '../container-files.ts';
import type { ContainerStore } from '../container-store.ts';
import { sharedContainer } from '../host-config.ts';
import type { IdentityFiles, NamespacePaths } from './spec-request-of.ts';

/** The PID and IPC namespaces that a container runs in. Throws `conflict` when it wants a stopped one's. */
export function processNamespaces(
  container: Container,
  store: ContainerStore,
): Pick<NamespacePaths, 'pid' | 'ipc'> {
  const { PidMode, IpcMode } = container.record.hostConfig;
  const shared = (mode: string, kind: 'pid' | 'ipc') => {
    const reference = sharedContainer(mode);
    if (reference === undefined) return undefined;
    return { path: `/proc/${runningPeer(reference, store, kind.toUpperCase()).task!.pid}/ns/${kind}` };
  };
  return {
    pid: shared(PidMode, 'pid') ?? (PidMode === 'host' ? 'host' : 'private'),
    ipc: shared(IpcMode, 'ipc') ?? (IpcMode === 'host' ? 'host' : IpcMode === 'none' ? 'none' : 'private'),
  };
}

/** With `--network container:x`: that one's namespace, its files and its host name. */
export function sharedNetwork(
  container: Container,
  store: ContainerStore,
  root: string,
): { namespace: string; identity: IdentityFiles; hostname: string } | undefined {
  const reference = sharedContainer(container.record.hostConfig.NetworkMode);
  if (reference === undefined) return undefined;
  const peer = runningPeer(reference, store, 'network');
  const namespace = peer.sandbox?.namespace;
  const shared = namespace && namespace !== 'new' ? namespace : `/proc/${peer.task!.pid}/ns/net`;
  return {
    namespace: shared,
    identity: new ContainerFiles(root, peer.id),
    hostname: peer.record.config.Hostname,
  };
}

function runningPeer(reference: string, store: ContainerStore, kind: string): Container {
  const peer = store.get(reference);
  if (!peer.running) throw conflict(`cannot join ${kind} namespace of a non running container: ${peer.id}`);
  return peer;
}
