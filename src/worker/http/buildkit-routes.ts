import type { GrpcServer } from '../buildkit/grpc/grpc-server.ts';
import { Metadata } from '../buildkit/grpc/metadata.ts';
import type { SessionManager } from '../buildkit/session/session-manager.ts';
import { switchProtocol } from './hijack.ts';
import type { EngineRouter } from './router.ts';

/**
 * BuildKit's API on the engine's own address: a request is upgraded to HTTP/2, on which we serve (`/grpc`), or the client
 * does (`/session`).
 */
export function buildkitRoutes(
  router: EngineRouter,
  { grpc, sessions }: { grpc: GrpcServer; sessions: SessionManager },
): void {
  router.post('/grpc', async (ctx) => {
    grpc.accept(await switchProtocol(ctx, 'h2c'));
  });
  router.post('/session', async (ctx) => {
    const metadata = Metadata.fromRaw(ctx.req.rawHeaders);
    sessions.check(metadata);
    await sessions.serve(await switchProtocol(ctx, 'h2c'), metadata);
  });
}
