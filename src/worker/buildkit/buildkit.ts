import type { Logger } from 'pino';
import type { BuildService } from '#worker/build/build-service.ts';
import { buildError } from './build-error.ts';
import { controlService } from './control/control-service.ts';
import type { WorkerFacts } from './control/worker-record.ts';
import { BridgeStates } from './gateway/bridge-state.ts';
import { gatewayService } from './gateway/gateway-service.ts';
import { Code, type GrpcError } from './grpc/grpc-error.ts';
import { GrpcServer } from './grpc/grpc-server.ts';
import { Control } from './proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { LLBBridge } from './proto/github.com/moby/buildkit/frontend/gateway/pb/gateway_pb.ts';
import { Health, HealthCheckResponse_ServingStatus } from './proto/grpc/health/v1/health_pb.ts';
import type { SessionManager } from './session/session-manager.ts';

export interface BuildkitParts {
  readonly builds: BuildService;
  readonly sessions: SessionManager;
  readonly worker: WorkerFacts;
  readonly log: Logger;
}

/** BuildKit's API, to be given connections. */
export function createBuildkit({ builds, sessions, worker, log }: BuildkitParts): GrpcServer {
  const bridges = new BridgeStates();
  const toError = (error: unknown): GrpcError => {
    const mapped = buildError(error);
    if (mapped.code === Code.internal) log.error({ err: error }, 'a BuildKit call failed unexpectedly');
    return mapped;
  };
  const serving = { status: HealthCheckResponse_ServingStatus.SERVING };
  return (
    new GrpcServer({ toError, log })
      .add(Control, controlService({ builds, sessions, bridges, worker }))
      .add(LLBBridge, gatewayService({ builds, bridges, worker }))
      .add(Health, { check: async () => serving })
      // Clients send what they have traced whether anybody wants it or not, and take offence at an error.
      .addEmpty('/opentelemetry.proto.collector.trace.v1.TraceService/Export')
  );
}
