import { statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import type { WorkerDatabase } from '#database/worker/open.ts';
import type { Metrics } from '#observability/metrics.ts';
import type { Traces } from '#observability/traces.ts';
import { hostPlatform } from '#oci/platform.ts';
import { Builds } from '#worker/build/builds/builds.ts';
import { CacheKeeper } from '#worker/build/cache/cache-keeper.ts';
import { LocalCache } from '#worker/build/cache/local-cache.ts';
import { CacheExports } from '#worker/build/cache/portable/cache-exports.ts';
import { CacheImports } from '#worker/build/cache/portable/cache-imports.ts';
import { RecordSender } from '#worker/build/cache/record-sender.ts';
import { RegistryRecords } from '#worker/build/cache/registry-records.ts';
import { TieredCache } from '#worker/build/cache/tiered-cache.ts';
import { ClassicBuilds } from '#worker/build/classic/classic-builds.ts';
import type { BasePuller } from '#worker/build/classic/classic-images.ts';
import { StepImageCache } from '#worker/build/classic/step-image-cache.ts';
import { RetainedDirectories } from '#worker/build/context/retained-directories.ts';
import { createDrivers, type Drivers, type DriversPorts } from '#worker/build/drivers/drivers.ts';
import { runnablePlatforms } from '#worker/build/drivers/exec/emulation.ts';
import { Exporters } from '#worker/build/export/exporters.ts';
import { DockerfileFrontend } from '#worker/build/frontend/dockerfile-frontend.ts';
import { BuildCatalog } from '#worker/build/history/build-catalog.ts';
import { BuildHistory } from '#worker/build/history/build-history.ts';
import { BuildMetrics } from '#worker/build/history/build-metrics.ts';
import { Misses } from '#worker/build/misses/misses.ts';
import type { StepBounds } from '#worker/build/solve/op-driver.ts';
import { Solver } from '#worker/build/solve/solver.ts';
import type { StepClaims } from '#worker/build/solve/step-claims.ts';
import { createBuildkit } from '#worker/buildkit/buildkit.ts';
import { tellGraph } from '#worker/buildkit/definition/tell-graph.ts';
import { ReceiveThreads } from '#worker/buildkit/fsutil/receive-threads.ts';
import { PeerSteps } from '#worker/buildkit/peer/peer-steps.ts';
import type { PeerWorkers } from '#worker/buildkit/peer/peer-workers.ts';
import { buildkitRecordFormat } from '#worker/buildkit/record-format.ts';
import { RequestBuilds } from '#worker/buildkit/request/request-builds.ts';
import { SessionManager } from '#worker/buildkit/session/session-manager.ts';
import type { Images } from '#worker/images/images.ts';
import type { LayerUploads } from '#worker/images/push/layer-uploads.ts';
import type { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import { version } from '../version.ts';

interface Ports extends DriversPorts {
  readonly database: WorkerDatabase;
  readonly images: Images;
  readonly trees: TreePool;
  readonly metrics: Metrics;
  /** undefined: nothing is traced. */
  readonly traces?: Traces | undefined;
  /** For the classic builder, which has whole images pulled. */
  readonly puller: BasePuller;
  /** undefined: no other worker shares the cache. */
  readonly claims?: StepClaims | undefined;
  /** undefined: there are no other workers. */
  readonly peers?: PeerWorkers | undefined;
}

interface BuildsSettings {
  readonly id: string;
  readonly root: string;
  readonly log: Logger;
  readonly config: Config['worker']['build'];
  readonly keepAliveMs: number;
  /** What steps get as of now. undefined: as configured. */
  readonly stepBounds?: (() => StepBounds) | undefined;
}

const GIB = 1024 ** 3;
const CONTEXT_LIMITS = { maxBytes: 64 * GIB, maxEntries: 2_000_000 };

/**
 * All that builds graphs, and BuildKit's API to it. Call `reconcile` once the images and snapshots have been. In `root`:
 *
 *     drivers/    what running steps need beside their files
 *     contexts/   clients' directories, kept for their next builds
 *     history/    what builds of the past have told
 */
export async function createWorkerBuilds(
  ports: Ports,
  { id, root, log, config, keepAliveMs, stepBounds }: BuildsSettings,
  closing: AsyncDisposableStack,
) {
  const { database, images, trees, traces } = ports;
  const shared = images.uploads && sharedRecords(images, images.uploads, log);
  const drivers = createDrivers(
    { ...ports, shared },
    { root: join(root, 'drivers'), refusedNetworks: config.refusedNetworks },
  );
  closing.defer(() => drivers.stop());
  const report = (error: unknown) => log.error({ err: error }, 'a build left something undone');
  const cache = new LocalCache({ database, layers: images.layers });
  const sender = shared && new RecordSender({ records: cache, registry: shared, report });
  if (sender) closing.use(sender);
  const directories = new RetainedDirectories({ root: join(root, 'contexts') });
  const receivers = new ReceiveThreads();
  closing.use(receivers);
  const { clientTimeout: patienceMs } = config;
  const sessions = new SessionManager({ directories, receivers, limits: CONTEXT_LIMITS, patienceMs });
  closing.defer(() => sessions.close());
  const { maxBuilds, maxAge: maxAgeMs, maxLogs: maxLogBytes } = config.history;
  const kept = { directory: join(root, 'history'), maxBuilds, maxAgeMs, maxLogBytes };
  const history = new BuildHistory({ database }, kept);
  const exporters = new Exporters({ images, local: drivers.local, mounts: drivers.views, trees, shared });
  const { registries, rows, uploads } = images;
  const solver = new Solver(
    {
      drivers: drivers.ops,
      cache: shared && sender ? new TieredCache({ local: cache, registry: shared, sender }) : cache,
      claims: ports.claims,
      natives: shared && ports.peers && peerSteps(ports.peers, shared, drivers, log),
    },
    { parallelism: config.parallelism },
  );
  const builds = new Builds(
    {
      solver,
      sessions,
      images: drivers.images,
      sources: drivers.sources,
      reader: drivers.reader,
      packages: (ref, options) => drivers.reader.packages(ref, options),
      tellGraph,
      misses: new Misses({ database, changes: drivers.manifests.changes.bind(drivers.manifests), report }),
      frontends: new Map([['dockerfile.v0', new DockerfileFrontend({ platform: hostPlatform() })]]),
      exporters,
      caches: {
        imports: new CacheImports({ registries, layerRows: rows.layers }),
        exports: new CacheExports({ registries, layerRows: rows.layers, uploads, layers: exporters.layers }),
      },
      history,
      format: buildkitRecordFormat,
      metrics: new BuildMetrics(ports.metrics),
      tracer: traces?.tracer,
      report,
    },
    {
      maxConcurrent: config.maxConcurrent,
      entitlements: new Set(config.entitlements),
      bounds: stepBounds ?? (() => ({ ...config.steps, unconfined: true })),
    },
  );
  closing.defer(() => builds.stop());
  const classic = new ClassicBuilds(
    {
      builds,
      cache,
      trees,
      directories,
      files: drivers.files,
      store: images.store,
      steps: rows.steps,
      layers: drivers.layers,
      puller: ports.puller,
    },
    { contextLimits: CONTEXT_LIMITS, patienceMs },
  );
  closing.defer(() => classic.stop());
  const contents = [cache, drivers.cacheMounts, directories];
  const parts = { contents, freeBytes: () => freeBytes(root) };
  const limits = {
    reservedBytes: config.cache.reserved,
    maxUsedBytes: config.cache.maxUsed,
    minFreeBytes: config.cache.minFree,
    maxUnusedMs: config.cache.maxUnused,
  };
  const keeper = new CacheKeeper(
    {
      parts: [...contents, new StepImageCache({ steps: rows.steps, remover: images.remover })],
      freeBytes: parts.freeBytes,
      collect: async () => void (await images.layers.prune()),
      report,
    },
    limits,
  );
  closing.use(keeper);
  const grpc = createBuildkit({
    builds,
    sessions,
    history,
    worker: { id, hostname: hostname(), platforms: runnablePlatforms, slipwayVersion: version, limits },
    cache: parts,
    keepAliveMs,
    traces,
    log,
  });
  closing.defer(() => grpc.close());
  return {
    builds,
    classic,
    requested: new RequestBuilds({ builds, sessions }, { patienceMs }),
    sessions,
    grpc,
    underWay: () => builds.underWay(),
    isBusy: () => solver.isBusy(),
    catalog: new BuildCatalog({ history, running: (ref) => builds.running(ref) }),
    /** For later builds. */
    kept: parts,
    async reconcile() {
      await drivers.reconcile();
      await cache.reconcile();
      sender?.start();
      await directories.reconcile();
      await history.reconcile();
      keeper.start();
    },
  };
}

function peerSteps(
  peers: PeerWorkers,
  shared: RegistryRecords,
  { local, stepsDirectory: directory }: Drivers,
  log: Logger,
): PeerSteps {
  return new PeerSteps({ peers, shared, local, directory, log });
}

function sharedRecords({ rows }: Images, uploads: LayerUploads, log: Logger): RegistryRecords {
  const { domain, path } = uploads.repository.reference;
  return new RegistryRecords({
    uploads,
    layerRows: rows.layers,
    report: (error) => log.warn({ err: error }, `the build cache ${domain}/${path} cannot be used`),
  });
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
