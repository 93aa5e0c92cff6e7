import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { canceled } from '#errors/errors.ts';
import type { ProgressSink } from '#worker/build/solve/progress.ts';
import { GrpcClient } from '../grpc/grpc-client.ts';
import { Code, ConnectionLost, GrpcError } from '../grpc/grpc-error.ts';
import { Control } from '../proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import type { Definition } from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';
import { type Connect, connectUpgraded, type EngineAddress } from './connection.ts';
import { eagerConnection } from './eager-connection.ts';
import { FailedBuild, failedBuild } from './failed-build.ts';
import { offeringServer } from './offering-server.ts';
import type { Offers } from './offers.ts';
import { tellStatus } from './status-events.ts';

interface Part {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** What is to be built, by the worker's own Dockerfile frontend. */
export interface BuildRequest {
  /** The client's name for it. */
  readonly ref: string;
  readonly options: Readonly<Record<string, string>>;
  readonly exporters: readonly Part[];
  readonly cacheImports: readonly Part[];
  readonly cacheExports: readonly Part[];
  readonly entitlements: readonly string[];
  /** A graph, in place of what the frontend makes; of a build that is part of another one. */
  readonly definition?: Definition;
}

/** How long a worker may take to say the last of a build that was cancelled. */
const FAREWELL_MS = 5_000;
/** And of one that it has said nothing of yet: there may be none. */
const FIRST_WORD_MS = 200;

/** A client of BuildKit's API on an engine's address. */
export class BuildClient {
  readonly #connect: Connect;
  readonly #headers: () => Readonly<Record<string, string>>;
  readonly #log: Logger;

  /** `headers`: on every request. */
  constructor(ports: {
    address: EngineAddress | { connect: Connect };
    headers?: () => Readonly<Record<string, string>>;
    log: Logger;
  }) {
    const { address } = ports;
    this.#connect =
      'connect' in address ? address.connect : (path, options) => connectUpgraded(address, path, options);
    this.#headers = ports.headers ?? (() => ({}));
    this.#log = ports.log;
  }

  /**
   * Builds, telling `progress` of it. Resolves to what the exporters answered, when all has been told. Throws a
   * `FailedBuild` for why it failed, `canceled`, `unavailable` when no worker answers, `ConnectionLost` when it no longer does.
   */
  async build(
    request: BuildRequest,
    offers: Offers,
    { progress, signal }: { progress: ProgressSink; signal: AbortSignal },
  ): Promise<Readonly<Record<string, string>>> {
    const sessionId = randomUUID();
    const server = offeringServer(offers, this.#log);
    await using closing = new AsyncDisposableStack();
    const headers = {
      ...this.#headers(),
      'x-docker-expose-session-uuid': sessionId,
      'x-docker-expose-session-name': 'slipway',
      'x-docker-expose-session-sharedkey': offers.sharedKey,
      'x-docker-expose-session-grpc-method': [...server.paths],
    };
    const session = await this.#connect('/session', { headers, signal });
    closing.defer(() => end(session));
    server.accept(eagerConnection(session));
    closing.defer(() => server.close());
    const client = new GrpcClient(await this.#connect('/grpc', { headers: this.#headers(), signal }));
    closing.defer(() => client.close());
    try {
      return await this.#solve(client, request, sessionId, { progress, signal });
    } catch (error) {
      const hasFailed = error instanceof FailedBuild && error.exitCode !== undefined;
      if (signal.aborted || hasFailed || !session.closed) throw error;
      // It ended for want of what it has of its client; that came by the other connection.
      throw new ConnectionLost('the connection was lost', { cause: error });
    }
  }

  async #solve(
    client: GrpcClient,
    { ref, options, exporters, cacheImports, cacheExports, entitlements, definition }: BuildRequest,
    sessionId: string,
    { progress, signal }: { progress: ProgressSink; signal: AbortSignal },
  ): Promise<Readonly<Record<string, string>>> {
    const told = watch(client, ref, progress);
    try {
      const { ExporterResponse: response } = await client.unary(
        Control.method.solve,
        {
          Ref: ref,
          Session: sessionId,
          ...(definition ? { Definition: definition, Internal: true } : { Frontend: 'dockerfile.v0' }),
          FrontendAttrs: { ...options },
          Exporters: exporters.map(written),
          Cache: { Imports: cacheImports.map(written), Exports: cacheExports.map(written) },
          Entitlements: [...entitlements],
        },
        { signal },
      );
      await told.done;
      return response;
    } catch (error) {
      // Why it failed comes with the answer; the last of what was told may still be on its way.
      const patience = told.begun() ? FAREWELL_MS : FIRST_WORD_MS;
      await Promise.race([told.done.catch(() => undefined), after(patience)]);
      throw signal.aborted ? canceled('the build was cancelled') : explained(error);
    } finally {
      told.stop();
    }
  }
}

function watch(client: GrpcClient, ref: string, progress: ProgressSink) {
  const leaving = new AbortController();
  let begun = false;
  const done = (async () => {
    const call = client.stream(Control.method.status, { signal: leaving.signal });
    await call.send({ Ref: ref });
    call.end();
    for await (const message of call) {
      begun = true;
      await tellStatus(message, progress);
    }
  })();
  done.catch(() => undefined);
  return { done, begun: () => begun, stop: () => leaving.abort() };
}

function explained(error: unknown): unknown {
  return error instanceof GrpcError && error.code !== Code.unavailable ? failedBuild(error) : error;
}

function written({ type, attrs }: Part) {
  return { Type: type, Attrs: { ...attrs } };
}

function after(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}

/** Says goodbye by halves: the worker closes then. */
function end(session: Duplex): Promise<void> {
  return new Promise((resolve) => {
    // With a worker that is gone, it was over before.
    if (session.closed) return resolve();
    session.once('close', resolve);
    session.end();
    session.destroy();
  });
}
