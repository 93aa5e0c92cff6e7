import { isKind } from '#errors/errors.ts';
import type { BuildService } from '#worker/build/build-service.ts';
import type { BuildHistory } from '#worker/build/history/build-history.ts';
import type { BridgeStates } from '../gateway/bridge-state.ts';
import type { ServerCall, ServiceHandlers } from '../grpc/server-call.ts';
import type {
  Control,
  SolveRequest,
} from '../proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import type { SessionManager } from '../session/session-manager.ts';
import { sessionTunnel } from '../session/session-tunnel.ts';
import { buildStart } from './build-start.ts';
import { type CacheParts, cacheCalls } from './cache-calls.ts';
import { historyCalls, sendTime } from './history-calls.ts';
import { StatusFeed } from './status-feed.ts';
import { versionRecord, type WorkerFacts, workerRecord } from './worker-record.ts';

export interface ControlParts {
  readonly builds: BuildService;
  readonly sessions: SessionManager;
  readonly bridges: BridgeStates;
  readonly worker: WorkerFacts;
  readonly cache: CacheParts;
  readonly history: BuildHistory;
}

/** `moby.buildkit.v1.Control`: builds, their progress, and the sessions of their clients. */
export function controlService(parts: ControlParts): ServiceHandlers<typeof Control> {
  const { worker } = parts;
  return {
    listWorkers: async () => ({ record: [await workerRecord(worker)] }),
    info: async () => ({ buildkitVersion: versionRecord(worker) }),
    solve: async (request, call) => ({ ExporterResponse: await solve(parts, request, call) }),
    async *status({ Ref: ref }, call) {
      sendTime(call);
      const feed = new StatusFeed();
      call.signal.addEventListener('abort', () => feed.end(), { once: true });
      watch(parts, { ref, feed, signal: call.signal }).then(
        () => feed.end(),
        (error: unknown) => feed.end(isKind(error, 'canceled') ? undefined : error),
      );
      yield* feed.messages();
    },
    ...cacheCalls(parts.cache),
    ...historyCalls(parts.history),
    session: (messages, call) => sessionTunnel(parts.sessions, messages, call),
  };
}

async function solve(
  { builds, bridges, sessions }: ControlParts,
  request: SolveRequest,
  { signal }: ServerCall,
) {
  const start = buildStart(request, sessions);
  const build = builds.begin(start);
  bridges.open(build, request.FrontendInputs);
  const cancel = () => build.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    return { ...(await build.done) };
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** A build under way, or one of the past. */
async function watch(
  { builds, history }: ControlParts,
  { ref, feed, signal }: { ref: string; feed: StatusFeed; signal: AbortSignal },
): Promise<void> {
  const past = await history.find(ref);
  if (past?.completedAt) return history.replay(ref, feed, { signal });
  const build = await builds.find(ref, { signal });
  await build.watch(feed, { signal });
}
