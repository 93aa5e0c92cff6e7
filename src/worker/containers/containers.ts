import type { Logger } from 'pino';
import { KeyedLock } from '#async/keyed-lock.ts';
import type { WorkerDatabase } from '#database/worker/open.ts';
import type { EventPublisher } from '../events/event-publisher.ts';
import { ExecService } from '../exec/exec-service.ts';
import type { ImageSource } from '../images/image-source.ts';
import type { Sandboxes } from '../networks/sandbox.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { OciResources, OciSpec } from '../runtime/spec/oci-spec.ts';
import type { SpecRequest, SpecResources } from '../runtime/spec/spec-request.ts';
import type { DiffApplier, DiffComparer } from '../snapshots/diff.ts';
import type { Mounter } from '../snapshots/mount.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { ContainerArchives } from './archive/container-archives.ts';
import { KernelFiles } from './archive/kernel-files.ts';
import { RootfsAccess } from './archive/rootfs-access.ts';
import { TreeReader } from './archive/tree-reader.ts';
import { TreeWriter } from './archive/tree-writer.ts';
import { ContainerAttacher } from './attach/container-attacher.ts';
import { ContainerLogs } from './attach/container-logs.ts';
import { LogRotator } from './attach/log-rotator.ts';
import { ContainerCommitter } from './commit/container-committer.ts';
import type { ContainerRecord } from './container.ts';
import { ContainerRepository } from './container-repository.ts';
import { ContainerStore } from './container-store.ts';
import { ContainerPauser } from './control/container-pauser.ts';
import { ContainerProcesses, type ProcessLister } from './control/container-processes.ts';
import { ContainerUpdater } from './control/container-updater.ts';
import { ContainerCreator } from './create/container-creator.ts';
import { MountPlanner } from './create/mount-points.ts';
import { VolumePopulator } from './create/populate-volumes.ts';
import { ContainerSupervisor } from './exit/container-supervisor.ts';
import { ExecHealthMonitor } from './health/exec-health-monitor.ts';
import { ContainerLister } from './list/container-lister.ts';
import { ContainerSizes } from './list/container-sizes.ts';
import { ContainerReconciler } from './reconcile/container-reconciler.ts';
import { ContainerRemoval } from './remove/container-removal.ts';
import { ContainerRemover } from './remove/container-remover.ts';
import { Launcher } from './start/launcher.ts';
import { ContainerStats } from './stats/container-stats.ts';
import { ContainerStopper } from './stop/container-stopper.ts';

export interface ContainersPorts {
  readonly database: WorkerDatabase;
  readonly runtime: Runtime;
  readonly images: ImageSource;
  readonly snapshotter: Snapshotter;
  readonly mounter: Mounter;
  readonly applier: DiffApplier;
  readonly comparer: DiffComparer;
  readonly sandboxes: Sandboxes;
  readonly volumes: Volumes;
  readonly events: EventPublisher;
  readonly log: Logger;
  /** For this host. */
  readonly createSpec: (request: SpecRequest) => Promise<OciSpec>;
  readonly resources: (request: SpecResources) => OciResources;
  readonly listProcesses: ProcessLister;
  /** `docker commit --change`. Throws `invalid`. */
  readonly applyChanges: ConstructorParameters<typeof ContainerCommitter>[0]['applyChanges'];
}

export interface ContainersOptions {
  /** Containers' directories are below it. */
  readonly root: string;
  readonly cgroupVersion: '1' | '2';
  /** The host's name, for containers on the host's network. */
  readonly hostname: string;
}

export type Containers = ReturnType<typeof createContainers>;

/**
 * Everything about containers, put together. First `load`, then `reconcile`, then requests; `stop` at the end
 * leaves the containers running.
 */
export function createContainers(ports: ContainersPorts, options: ContainersOptions) {
  const { images, snapshotter, mounter, sandboxes, events, volumes, log, runtime, createSpec } = ports;
  const { root } = options;
  const lock = new KeyedLock();
  const repository = new ContainerRepository(ports.database);
  const store = new ContainerStore(repository);
  const files = new KernelFiles();
  const reader = new TreeReader(files);
  const writer = new TreeWriter(files);
  const mounts = new MountPlanner({ volumes, resolveContainer: (reference) => store.get(reference).record });
  const populator = new VolumePopulator({ reader, writer });
  const rootfs = new RootfsAccess({ lock, snapshotter, mounter, root });

  const launcher = new Launcher({
    store,
    runtime,
    createSpec,
    snapshotter,
    mounter,
    sandboxes,
    events,
    log,
    root,
  });
  const remover = new ContainerRemover({
    store,
    runtime,
    snapshotter,
    mounter,
    sandboxes,
    images,
    mounts,
    events,
    log,
    root,
  });
  const health = new ExecHealthMonitor({ store, createSpec, events, log, root });
  const supervisor = new ContainerSupervisor({
    store,
    lock,
    launcher,
    remover,
    health,
    logs: new LogRotator({ root, log }),
    events,
    log,
  });
  const settled = async (container: { id: string }) => lock.run(container.id, () => undefined);
  const stopper = new ContainerStopper({ store, supervisor, events, settled });
  const updater = new ContainerUpdater({
    store,
    lock,
    sandboxes,
    events,
    resources: ports.resources,
    writeNetworkFiles: (container, sandbox) => launcher.writeNetworkFiles(container, sandbox),
  });
  const reconciler = new ContainerReconciler({
    store,
    lock,
    runtime,
    mounter,
    sandboxes,
    supervisor,
    remover,
    launcher,
    log,
    root,
  });
  let removing: ContainerRecord[] = [];

  return {
    store,
    supervisor,
    stopper,
    updater,
    creator: new ContainerCreator({
      ...options,
      store,
      repository,
      images,
      snapshotter,
      mounter,
      mounts,
      populator,
      events,
      log,
    }),
    removal: new ContainerRemoval({ store, lock, stopper, remover, snapshotter }),
    pauser: new ContainerPauser({ store, lock, events }),
    attacher: new ContainerAttacher({ events, root }),
    logs: new ContainerLogs({ root }),
    lister: new ContainerLister({ store, images }),
    sizes: new ContainerSizes({ snapshotter, store }),
    processes: new ContainerProcesses(ports),
    stats: new ContainerStats(),
    archives: new ContainerArchives({ rootfs, reader, writer, events }),
    committer: new ContainerCommitter({ ...ports, lock }),
    comparer: ports.comparer,
    execs: new ExecService({ store, createSpec, events, log, root }),
    root,

    /** Reads the records; answers the ids of containers that may still be alive, for the networks to keep. */
    async load(): Promise<string[]> {
      ({ removing } = await store.load());
      return store
        .list()
        .filter(({ state }) => state.status === 'running' || state.status === 'paused')
        .map(({ id }) => id);
    },

    async reconcile(): Promise<void> {
      await reconciler.reconcile(removing);
      removing = [];
    },

    async stop(): Promise<void> {
      supervisor.stop();
      await launcher.settled();
    },

    counts(): { containers: number; running: number; paused: number; stopped: number } {
      const states = store.list().map(({ state }) => state.status);
      const running = states.filter((status) => status === 'running' || status === 'restarting').length;
      const paused = states.filter((status) => status === 'paused').length;
      return { containers: states.length, running, paused, stopped: states.length - running - paused };
    },

    /** For the networks' routes. */
    networks: {
      connect: (reference: string, endpoint: Parameters<ContainerUpdater['connect']>[1]) =>
        updater.connect(store.get(reference), endpoint),
      disconnect: (reference: string, network: string, how: { force: boolean }) =>
        updater.disconnect(store.get(reference), network, how),
    },
  };
}
