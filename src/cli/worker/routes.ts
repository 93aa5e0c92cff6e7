import type { Config } from '#config/schema.ts';
import { contentRoute } from '#pool/http/content-route.ts';
import { absentRoutes } from '#worker/http/absent-routes.ts';
import { buildRoutes } from '#worker/http/build-routes.ts';
import { buildkitRoutes } from '#worker/http/buildkit-routes.ts';
import { containersRoutes } from '#worker/http/containers-routes.ts';
import { diskUsageRoutes } from '#worker/http/disk-usage-routes.ts';
import { eventsRoutes } from '#worker/http/events-routes.ts';
import { imagesRoutes } from '#worker/http/images-routes.ts';
import { networksRoutes } from '#worker/http/networks-routes.ts';
import type { EngineRouter } from '#worker/http/router.ts';
import { type SystemServices, systemRoutes } from '#worker/http/system-routes.ts';
import { volumesRoutes } from '#worker/http/volumes-routes.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { readHost } from '#worker/system/host.ts';
import { version } from '../version.ts';
import type { WorkerParts } from './parts.ts';

/** The Docker Engine API of an engine. */
export async function addWorkerRoutes(
  router: EngineRouter,
  parts: WorkerParts,
  host: HostFacts,
  config: Config,
  disk?: SystemServices['disk'],
): Promise<void> {
  const { containers, events, images, networks, volumes, builds } = parts;
  systemRoutes(router, {
    id: parts.id,
    slipwayVersion: version,
    host: await readHost(),
    dataDir: config.dataDir,
    components: {
      runc: host.tools.runc.version ?? '',
      conmon: host.tools.conmon.version ?? '',
    },
    cgroupVersion: host.cgroup.version === 'v2' ? '2' : '1',
    seccomp: host.seccompProfile !== undefined,
    registryMirrors: config.worker.registryMirrors,
    insecureRegistries: { cidrs: ['127.0.0.0/8', '::1/128'], names: config.worker.insecureRegistries },
    disk,
    counts: async () => ({ ...containers.counts(), images: await images.lister.count() }),
  });
  containersRoutes(router, { containers, images: images.store });
  diskUsageRoutes(router, { images, containers, volumes, cache: builds.kept.contents });
  networksRoutes(router, { networks, containers: containers.networks });
  volumesRoutes(router, { volumes });
  buildRoutes(router, builds);
  buildkitRoutes(router, builds);
  eventsRoutes(router, { events });
  imagesRoutes(router, images);
  contentRoute(router, images);
  absentRoutes(router);
}
