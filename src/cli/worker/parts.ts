import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { openWorkerDatabase } from '#database/worker/open.ts';
import type { Metrics } from '#observability/metrics.ts';
import type { Traces } from '#observability/traces.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { GatewayStepClaims } from '#pool/member/gateway-step-claims.ts';
import { ImageLender } from '#pool/member/image-lender.ts';
import { applyChanges } from '#worker/build/frontend/apply-changes.ts';
import type { StepBounds } from '#worker/build/solve/op-driver.ts';
import type { StepClaims } from '#worker/build/solve/step-claims.ts';
import type { PeerWorkers } from '#worker/buildkit/peer/peer-workers.ts';
import { createContainers } from '#worker/containers/containers.ts';
import { EventBus } from '#worker/events/event-bus.ts';
import { createImages, type ImagesOptions } from '#worker/images/images.ts';
import type { SharedFirewall } from '#worker/networks/firewall/shared-firewall.ts';
import { NetworkService, type NetworkServiceDependencies } from '#worker/networks/network-service.ts';
import { ConmonRuntime } from '#worker/runtime/conmon/conmon-runtime.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { listProcesses } from '#worker/runtime/host/list-processes.ts';
import { createSpec } from '#worker/runtime/spec/create-spec.ts';
import { resourcesFor } from '#worker/runtime/spec/resources.ts';
import { RuncStepRunner } from '#worker/runtime/step/runc-step-runner.ts';
import { KernelMounter } from '#worker/snapshots/kernel-mounter.ts';
import { OverlayDiffApplier } from '#worker/snapshots/overlay-diff-applier.ts';
import { OverlayDiffComparer } from '#worker/snapshots/overlay-diff-comparer.ts';
import { OverlaySnapshotter } from '#worker/snapshots/overlay-snapshotter.ts';
import { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import { reserveDatabaseRoom } from '#worker/system/database-room.ts';
import { VolumeService } from '#worker/volumes/volume-service.ts';
import { readCredentials } from '../registry/upstreams.ts';
import { basePuller } from './base-puller.ts';
import { createWorkerBuilds } from './builds.ts';
import { layerGzip } from './layer-gzip.ts';
import { overlayPorts } from './overlay.ts';

export type WorkerParts = Awaited<ReturnType<typeof createWorkerParts>>;

/**
 * A worker's domains, wired to their drivers and reconciled with what an earlier process left. `closing` takes
 * what has to be closed at the end. In `<dataDir>/worker`:
 *
 *     worker.db     containers, images, networks, volumes, build cache
 *     id            the engine's ID
 *     content/      blobs of images
 *     snapshots/    unpacked layers and containers' own files
 *     containers/   a container's log, /etc/hosts …
 *     volumes/
 *     builds/       what builds keep and need
 */
export async function createWorkerParts(
  config: Config,
  host: HostFacts,
  {
    logger: log,
    metrics,
    firewall,
    allowRegistry,
    stepBounds,
    claims,
    peers,
    traces,
    overlay,
    tunnelPort,
  }: {
    logger: Logger;
    metrics: Metrics;
    traces?: Traces | undefined;
    firewall: SharedFirewall;
    /** Throws `forbidden` for registries that are not to be talked to. */
    allowRegistry?: (domain: string) => void;
    /** What builds' steps get as of now, in place of what is configured. */
    stepBounds?: () => StepBounds;
    /** The pool's, for networks that reach over all workers. */
    overlay?: NonNullable<NetworkServiceDependencies['overlay']> | undefined;
    /** UDP between workers that is not for containers. */
    tunnelPort?: number;
    /** Agrees with the other workers of a pool on who does a step. */
    claims?: Pick<GatewayStepClaims, 'of'>;
    /** Do steps of other platforms. */
    peers?: PeerWorkers;
  },
  closing: AsyncDisposableStack,
) {
  const directory = join(config.dataDir, 'worker');
  const runDir = join(config.runDir, 'worker');
  await mkdir(directory, { recursive: true, mode: 0o711 });
  await mkdir(runDir, { recursive: true, mode: 0o711 });

  const databaseFile = join(directory, 'worker.db');
  const database = await openWorkerDatabase(databaseFile);
  closing.defer(() => database.destroy());
  reserveDatabaseRoom(databaseFile);
  const events = new EventBus();
  const content = new FilesystemContentStore(join(directory, 'content'));
  const mounter = new KernelMounter();
  const trees = new TreePool();
  closing.use(trees);
  const snapshotter = new OverlaySnapshotter({ database, trees }, { root: join(directory, 'snapshots') });
  const applier = new OverlayDiffApplier({ snapshotter, trees });
  const comparer = new OverlayDiffComparer({ snapshotter, trees });
  const images = createImages(
    {
      database,
      content,
      snapshotter,
      applier,
      comparer,
      events,
      gzip: layerGzip(config, log),
      isBusy: () => builds.isBusy(),
      applyChanges,
      isRunning: (id) => containers.store.find(id)?.active === true,
    },
    {
      registryMirrors: config.worker.registryMirrors,
      insecureRegistries: config.worker.insecureRegistries,
      concurrentDownloads: config.worker.maxConcurrentDownloads,
      concurrentUploads: config.worker.maxConcurrentUploads,
      ...uploadsOf(config),
      ...(allowRegistry && { allowRegistry }),
    },
  );
  closing.defer(() => images.stop());
  const { defaultBridge, addressPools } = config.worker.network;
  const networks = new NetworkService({
    database,
    events,
    options: {
      runDir,
      defaultBridge,
      addressPools,
      ...(tunnelPort && { tunnelPort }),
      ownUdp: overlay ? overlayPorts(config) : [],
    },
    ...(overlay && { overlay }),
    firewall: ({ state }) => firewall.part(state),
  });
  const volumes = new VolumeService({ database, events, mounter, options: { dataDir: directory } });
  const runtime = new ConmonRuntime({
    stateDir: join(runDir, 'tasks'),
    runc: host.tools.runc.path!,
    conmon: host.tools.conmon.path!,
    socat: host.tools.socat.path!,
  });
  closing.use(runtime);
  const containers = createContainers(
    {
      database,
      runtime,
      images: images.store,
      snapshotter,
      mounter,
      applier,
      comparer,
      sandboxes: networks,
      volumes,
      events,
      log,
      createSpec: (request) => createSpec(request, host),
      resources: (request) => resourcesFor(request, host),
      listProcesses,
      applyChanges,
    },
    {
      root: join(directory, 'containers'),
      cgroupVersion: host.cgroup.version === 'v2' ? '2' : '1',
      hostname: hostname(),
    },
  );
  const steps = new RuncStepRunner({ stateDir: join(runDir, 'steps'), runc: host.tools.runc.path! });
  const running = { snapshotter, mounter, steps, sandboxes: networks, database, host };

  await snapshotter.reconcile();
  await images.reconcile();
  const live = await containers.load();
  await networks.reconcile(live);
  closing.defer(() => networks.stop());
  await volumes.reconcile(containers.store.list().map(({ id }) => id));
  await containers.reconcile();
  closing.defer(() => containers.stop());
  const id = await engineId(join(directory, 'id'));
  await removeOldContexts(join(directory, 'build'), mounter);
  const lender = new ImageLender();
  const builds = await createWorkerBuilds(
    {
      ...running,
      images,
      trees,
      metrics,
      claims: claimsOf(config, claims),
      peers,
      traces,
      puller: basePuller(images.puller, lender),
      bring: (reference, signal) => lender.bring(reference, signal),
    },
    {
      id,
      root: join(directory, 'builds'),
      log,
      config: config.worker.build,
      keepAliveMs: config.worker.buildkit.keepAlive,
      stepBounds,
    },
    closing,
  );
  await builds.reconcile();

  return {
    id,
    directory,
    database,
    events,
    images,
    networks,
    volumes,
    containers,
    builds,
    lender,
  };
}

/** Where layers of builds go before anybody pushes them. */
function uploadsOf({ worker: { build } }: Config): Pick<ImagesOptions, 'uploads'> {
  if (build.cacheRepository === null) return {};
  const reference = parseImageReference(build.cacheRepository);
  const credentials = readCredentials(build.cacheCredentials ?? undefined);
  return { uploads: { reference, ...(credentials && { credentials }) } };
}

/** Of those who share a cache. */
function claimsOf(
  { worker: { build } }: Config,
  claims: Pick<GatewayStepClaims, 'of'> | undefined,
): StepClaims | undefined {
  return build.cacheRepository === null ? undefined : claims?.of(build.cacheRepository);
}

/** Where classic builds of earlier versions had their files. */
async function removeOldContexts(directory: string, mounter: KernelMounter): Promise<void> {
  for (const target of await mounter.mountsBelow(directory)) await mounter.unmount(target);
  await rm(directory, { recursive: true, force: true });
}

/** Stable for one data directory, as clients tell engines apart by it. */
async function engineId(file: string): Promise<string> {
  const known = await readFile(file, 'utf8').catch(() => '');
  if (known) return known;
  const id = randomUUID();
  await writeFile(file, id);
  return id;
}
