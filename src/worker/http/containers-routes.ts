import type { Containers } from '../containers/containers.ts';
import type { ImageSource } from '../images/image-source.ts';
import { containersArchiveRoutes } from './containers-archive-routes.ts';
import { containersAttachRoutes } from './containers-attach-routes.ts';
import { containersInspectRoutes } from './containers-inspect-routes.ts';
import { containersLifecycleRoutes } from './containers-lifecycle-routes.ts';
import { execRoutes } from './exec-routes.ts';
import type { EngineRouter } from './router.ts';

/** Everything below `/containers` and `/exec`, and `/commit`. */
export function containersRoutes(
  router: EngineRouter,
  services: { containers: Containers; images: ImageSource },
): void {
  const { containers, images } = services;
  containersLifecycleRoutes(router, containers);
  containersInspectRoutes(router, containers, images);
  containersAttachRoutes(router, containers);
  containersArchiveRoutes(router, containers);
  execRoutes(router, containers);
}
