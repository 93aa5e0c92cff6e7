import { absentRoutes } from '#worker/http/absent-routes.ts';
import type { EngineRouter } from '#worker/http/router.ts';
import type { BuildHomes } from '../../gateway/build-homes.ts';
import type { GrpcProxy } from '../../gateway/grpc-proxy.ts';
import { buildRecordRoutes } from './build-record-routes.ts';
import { poolBuildRoutes } from './build-routes.ts';
import { containerRoutes } from './container-routes.ts';
import { poolEventRoutes } from './event-routes.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { imageRoutes } from './image-routes.ts';
import { networkRoutes } from './network-routes.ts';
import { poolSystemRoutes } from './system-routes.ts';
import { volumeRoutes } from './volume-routes.ts';

/** The Docker Engine API of a pool. */
export function gatewayRoutes(
  router: EngineRouter,
  parts: GatewayParts & { readonly homes: BuildHomes; readonly grpc: GrpcProxy },
  identity: { id: string },
): void {
  poolSystemRoutes(router, parts, identity);
  containerRoutes(router, parts);
  networkRoutes(router, parts);
  volumeRoutes(router, parts);
  imageRoutes(router, parts);
  poolBuildRoutes(router, parts, parts);
  buildRecordRoutes(router, parts, parts);
  poolEventRoutes(router, parts);
  absentRoutes(router);
}
