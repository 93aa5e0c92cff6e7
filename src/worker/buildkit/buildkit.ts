import type { Logger } from 'pino';
import type { Traces } from '#observability/traces.ts';
import type { BuildService } from '#worker/build/build-service.ts';
import type { BuildHistory } from '#worker/build/history/build-history.ts';
import { buildError } from './build-error.ts';
import { contentService } from './content-service.ts';
import type { CacheParts } from './control/cache-calls.ts';
import { controlService } from './control/control-service.ts';
import type { WorkerFacts } from './control/worker-record.ts';
import { BridgeStates } from './gateway/bridge-state.ts';
import { gatewayService } from './gateway/gateway-service.ts';
import { Code, type GrpcError } from './grpc/grpc-error.ts';
import { GrpcServer } from './grpc/grpc-server.ts';
import { Content } from './proto/github.com/containerd/containerd/api/services/content/v1/content_pb.ts';
import { Control } from './proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { LLBBridge } from './proto/github.com/moby/buildkit/frontend/gateway/pb/gateway_pb.ts';
import { Health, HealthCheckResponse_ServingStatus } from './proto/grpc/health/v1/health_pb.ts';
import type { SessionManager } from './session/session-manager.ts';

export interface BuildkitParts {
  readonly builds: BuildService;
  readonly sessions: SessionManager;
  readonly worker: WorkerFacts;
  readonly cache: CacheParts;
  readonly history: BuildHistory;
  /** How often quiet clients are asked whether they are there; 0: never. */
  readonly keepAliveMs: number;
  /** undefined: nothing is traced, and what clients have traced is dropped. */
  readonly traces?: Traces | undefined;
  readonly log: Logger;
}

const SOLVE = `/${Control.typeName}/${Control.method.solve.name}`;

/** BuildKit's API, to be given connections. */
export function createBuildkit(parts: BuildkitParts): GrpcServer {
  const { log, keepAliveMs } = parts;
  const bridges = new BridgeStates();
  const toError = (error: unknown): GrpcError => {
    const mapped = buildError(error);
    if (mapped.code === Code.internal) log.error({ err: error }, 'a BuildKit call failed unexpectedly');
    return mapped;
  };
  const serving = { status: HealthCheckResponse_ServingStatus.SERVING };
  return (
    new GrpcServer({ toError, log, keepAliveMs, tracer: parts.traces?.tracer, beginning: [SOLVE] })
      .add(Control, controlService({ ...parts, bridges }))
      .add(LLBBridge, gatewayService({ ...parts, bridges }))
      .add(Content, contentService(parts.history.documents))
      .add(Health, { check: async () => serving })
      // Clients send what they have traced whether anybody wants it or not, and take offence at an error.
      .addOpaque('/opentelemetry.proto.collector.trace.v1.TraceService/Export', (message) => {
        void parts.traces?.relay.pass(message);
      })
  );
}
