import { statfs } from 'node:fs/promises';
import { availableParallelism, hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { WorkerDatabase } from '#database/worker/open.ts';
import { notFound, unsupported } from '#errors/errors.ts';
import { hostPlatform } from '#oci/platform.ts';
import { Builds } from '#worker/build/builds/builds.ts';
import type { CacheContents } from '#worker/build/cache/cache-contents.ts';
import { LocalCache } from '#worker/build/cache/local-cache.ts';
import { RetainedDirectories } from '#worker/build/context/retained-directories.ts';
import { createDrivers, type Drivers, type DriversPorts } from '#worker/build/drivers/drivers.ts';
import { Exporters } from '#worker/build/export/exporters.ts';
import { DockerfileFrontend } from '#worker/build/frontend/dockerfile-frontend.ts';
import { BuildHistory } from '#worker/build/history/build-history.ts';
import { Solver } from '#worker/build/solve/solver.ts';
import { createBuildkit } from '#worker/buildkit/buildkit.ts';
import { SessionManager } from '#worker/buildkit/session/session-manager.ts';
import type { Images } from '#worker/images/images.ts';
import type { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import { version } from './version.ts';

export type WorkerBuilds = Awaited<ReturnType<typeof createWorkerBuilds>>;

interface Ports extends DriversPorts {
  readonly database: WorkerDatabase;
  readonly images: Images;
  readonly trees: TreePool;
}

const GIB = 1024 ** 3;
const CONTEXT_LIMITS = { maxBytes: 64 * GIB, maxEntries: 2_000_000 };
const MAX_CONCURRENT_BUILDS = 8;
const ENTITLEMENTS = new Set(['network.host'] as const);

/**
 * All that builds graphs, and BuildKit's API to it. Call `reconcile` once the images and snapshots have been. In `root`:
 *
 *     drivers/    what running steps need beside their files
 *     contexts/   clients' directories, kept for their next builds
 *     history/    what builds of the past have told
 */
export async function createWorkerBuilds(
  ports: Ports,
  { id, root, log }: { id: string; root: string; log: Logger },
  closing: AsyncDisposableStack,
) {
  const { database, images, trees } = ports;
  const drivers = createDrivers(ports, { root: join(root, 'drivers') });
  closing.defer(() => drivers.stop());
  const cache = new LocalCache({ database, layers: images.layers });
  const directories = new RetainedDirectories({ root: join(root, 'contexts') });
  const sessions = new SessionManager({ directories, limits: CONTEXT_LIMITS });
  closing.defer(() => sessions.close());
  const history = new BuildHistory({ database }, { directory: join(root, 'history') });
  const report = (error: unknown) => log.error({ err: error }, 'a build left something undone');
  const builds = new Builds(
    {
      solver: new Solver(
        { drivers: drivers.ops, cache },
        { parallelism: Math.max(2, availableParallelism()) },
      ),
      sessions,
      images: drivers.images,
      reader: drivers.reader,
      packages: () => Promise.reject(unsupported('SBOMs are not made yet')),
      frontends: new Map([['dockerfile.v0', new DockerfileFrontend({ platform: hostPlatform() })]]),
      exporters: new Exporters({ images, local: drivers.layers, mounts: drivers.views, trees }),
      history,
      report,
    },
    { maxConcurrent: MAX_CONCURRENT_BUILDS, entitlements: ENTITLEMENTS },
  );
  closing.defer(() => builds.stop());
  const grpc = createBuildkit({
    builds,
    sessions,
    history,
    worker: { id, hostname: hostname(), platforms: [hostPlatform()], slipwayVersion: version },
    cache: { contents: [cache, mountContents(drivers), directories], freeBytes: () => freeBytes(root) },
    content: { open: async (digest) => Promise.reject(notFound(`content ${digest}: not found`)) },
    log,
  });
  closing.defer(() => grpc.close());
  return {
    builds,
    sessions,
    grpc,
    history,
    async reconcile() {
      await drivers.reconcile();
      await cache.reconcile();
      await directories.reconcile();
      await history.reconcile();
    },
  };
}

function mountContents({ cacheMounts }: Drivers): CacheContents {
  return {
    async usage() {
      const mounts = await cacheMounts.usage();
      return mounts.map((mount) => ({ ...mount, type: 'exec.cachemount', kind: 'exec' }));
    },
    async remove(id) {
      const { ids, bytes } = await cacheMounts.prune({ ids: [id] });
      return ids.length > 0 ? bytes : undefined;
    },
  };
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
