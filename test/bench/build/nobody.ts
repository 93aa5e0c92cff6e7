import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createListener, type Server as Listener } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { pino } from 'pino';
import { hostPlatform } from '#oci/platform.ts';
import { workerRecord } from '#worker/buildkit/control/worker-record.ts';
import { FRONTEND_CAPABILITIES, GRAPH_CAPABILITIES } from '#worker/buildkit/gateway/capabilities.ts';
import { toGrpcError } from '#worker/buildkit/grpc/grpc-error.ts';
import { GrpcServer } from '#worker/buildkit/grpc/grpc-server.ts';
import type { ServerCall, ServiceHandlers } from '#worker/buildkit/grpc/server-call.ts';
import { Control } from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { LLBBridge } from '#worker/buildkit/proto/github.com/moby/buildkit/frontend/gateway/pb/gateway_pb.ts';

/**
 * A builder that answers everything at once and does nothing: what its clients take by themselves. It reads no file of
 * theirs, so a real one has to take longer. An engine on one socket, BuildKit's own API on another.
 */
export class Nobody implements AsyncDisposable {
  readonly engine: string;
  readonly buildkit: string;
  readonly #grpc = new GrpcServer({ toError: toGrpcError, log: pino({ level: 'silent' }) });
  readonly #sockets = new Set<Duplex>();
  readonly #http: Server = createServer((request, response) => answer(request, response));
  readonly #listener: Listener = createListener((socket) => this.#serve(socket));
  /** Of builds by their names. */
  readonly #ended = new Map<string, PromiseWithResolvers<void>>();

  private constructor(folder: string) {
    const [engine, buildkit] = ['nobody-engine.sock', 'nobody-buildkit.sock'].map((name) =>
      join(folder, name),
    );
    this.engine = `unix://${engine}`;
    this.buildkit = `unix://${buildkit}`;
    this.#grpc.add(Control, this.#control()).add(LLBBridge, this.#bridge());
    this.#grpc.addOpaque('/opentelemetry.proto.collector.trace.v1.TraceService/Export', () => undefined);
    this.#http.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
      socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
      if (request.url?.endsWith('/grpc')) this.#serve(socket);
      else this.#keep(socket.resume());
    });
    for (const path of [engine!, buildkit!]) rmSync(path, { force: true });
    this.#http.listen(engine);
    this.#listener.listen(buildkit);
  }

  static async start(folder: string): Promise<Nobody> {
    const nobody = new Nobody(folder);
    await Promise.all([nobody.#http, nobody.#listener].map((one) => once(one, 'listening')));
    return nobody;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#grpc.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#http.closeAllConnections();
    await Promise.all([this.#http, this.#listener].map((one) => new Promise((done) => one.close(done))));
  }

  #serve(socket: Duplex): void {
    this.#grpc.accept(this.#keep(socket));
  }

  #keep(socket: Duplex): Duplex {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }

  #endOf(ref: string): PromiseWithResolvers<void> {
    const end = this.#ended.get(ref) ?? Promise.withResolvers<void>();
    this.#ended.set(ref, end);
    return end;
  }

  #control(): ServiceHandlers<typeof Control> {
    const endOf = (ref: string) => this.#endOf(ref).promise;
    return {
      listWorkers: async () => ({ record: [await worker()] }),
      info: async () => ({}),
      session: (messages, call) => nothing(call, drained(messages)),
      status: ({ Ref: ref }, call) => nothing(call, endOf(ref)),
      solve: async ({ Ref: ref }) => {
        await endOf(ref);
        return {};
      },
      listenBuildHistory: (_request, call) => nothing(call, Promise.resolve()),
    };
  }

  #bridge(): ServiceHandlers<typeof LLBBridge> {
    const enabled = (ID: string) => ({ ID, Enabled: true });
    return {
      ping: async () => ({
        FrontendAPICaps: FRONTEND_CAPABILITIES.map(enabled),
        LLBCaps: GRAPH_CAPABILITIES.map(enabled),
        Workers: [await worker()],
      }),
      solve: async () => ({ result: { result: { case: 'ref', value: { id: 'nothing' } } } }),
      return: async (_request, { metadata }) => {
        this.#endOf(metadata.get('buildkit-controlapi-buildid') ?? '').resolve();
        return {};
      },
    };
  }
}

/** A stream without messages. */
async function* nothing(call: ServerCall, until: Promise<unknown>): AsyncGenerator<never> {
  call.sendHeaders();
  await until;
  yield* [];
}

async function drained(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages);
}

function worker() {
  return workerRecord({
    id: 'nobody',
    hostname: 'nobody',
    platforms: async () => [hostPlatform()],
    slipwayVersion: '0',
  });
}

/** What the docker command asks of an engine before it builds. */
function answer({ url = '', method }: IncomingMessage, response: ServerResponse): void {
  response.setHeader('Api-Version', '1.51').setHeader('Builder-Version', '2').setHeader('Ostype', 'linux');
  const known = { ApiVersion: '1.51', MinAPIVersion: '1.24', Version: '28.0.0', Os: 'linux', Arch: 'amd64' };
  const body = url.endsWith('/_ping')
    ? 'OK'
    : JSON.stringify(url.endsWith('/info') ? { OSType: 'linux' } : known);
  response.setHeader('Content-Type', url.endsWith('/_ping') ? 'text/plain' : 'application/json');
  response.end(method === 'HEAD' ? '' : body);
}
