import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import type { Logger } from 'pino';
import { NO_TRACER, type Tracer } from '#observability/tracer.ts';
import { Code, GrpcError } from './grpc-error.ts';
import { h2Options, widenWindow } from './h2-settings.ts';
import { keepAlive } from './keep-alive.ts';
import { Metadata } from './metadata.ts';
import { type AnyHandler, answer, refuse, type ServiceHandlers } from './server-call.ts';

/** Maps a thrown value to what a call ends with; the place to log what is a bug. */
export type ErrorMapper = (error: unknown) => GrpcError;

/**
 * gRPC over any byte stream: sockets of a listener, or connections that were HTTP/1.1 before an upgrade. Calls run at
 * once; each ends with its stream, and its signal aborts when the client gives up.
 */
export class GrpcServer {
  readonly #methods = new Map<string, { method: DescMethod | undefined; handler: AnyHandler }>();
  readonly #toError: ErrorMapper;
  readonly #log: Logger;
  readonly #keepAliveMs: number;
  readonly #tracer: Tracer;
  readonly #beginning: ReadonlySet<string>;
  /** Listens nowhere; it makes sessions of connections. */
  readonly #http2: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  /**
   * `keepAliveMs`: see `keepAlive`; 0: peers are not asked. `beginning`: methods whose calls begin a trace where their
   * client has none.
   */
  constructor({
    toError,
    log,
    keepAliveMs = 0,
    tracer = NO_TRACER,
    beginning = [],
  }: {
    toError: ErrorMapper;
    log: Logger;
    keepAliveMs?: number;
    tracer?: Tracer | undefined;
    beginning?: readonly string[];
  }) {
    this.#toError = toError;
    this.#log = log;
    this.#keepAliveMs = keepAliveMs;
    this.#tracer = tracer;
    this.#beginning = new Set(beginning);
    this.#http2 = createServer({
      ...h2Options,
      settings: { ...h2Options.settings, maxConcurrentStreams: 1_000 },
    });
    this.#http2.on('session', (session) => this.#keep(session));
    this.#http2.on('stream', (stream, headers, _flags, raw) => this.#serve(stream, headers, raw ?? []));
    this.#http2.on('sessionError', (error) => log.debug({ err: error }, 'gRPC connection error'));
  }

  /** Methods without a handler answer `unimplemented`. `as`: they are called by the name of another service. */
  add<S extends DescService>(service: S, handlers: ServiceHandlers<S>, as: DescService = service): this {
    for (const method of service.methods) {
      const handler = handlers[method.localName as keyof ServiceHandlers<S>];
      if (handler) {
        const path = `/${as.typeName}/${method.name}`;
        this.#methods.set(path, { method, handler: handler as AnyHandler });
      }
    }
    return this;
  }

  /** `/service/Method`, of each that is answered. */
  get paths(): readonly string[] {
    return [...this.#methods.keys()];
  }

  /** Answers a method whose messages nobody here needs to understand with an empty message; `take` gets its own. */
  addOpaque(path: string, take: (message: Uint8Array) => void): this {
    const handler = async (message: unknown) => {
      take(message as Uint8Array);
      return {};
    };
    this.#methods.set(path, { method: undefined, handler: handler as AnyHandler });
    return this;
  }

  /** Serves a connection until either side closes it. */
  accept(connection: Duplex): void {
    connection.on('error', () => connection.destroy());
    const interval = this.#keepAliveMs;
    // It is made before `emit` returns.
    if (interval) this.#http2.once('session', (session) => keepAlive(session, connection, interval));
    this.#http2.emit('connection', connection);
  }

  /** Ends all connections; calls under way are cancelled. */
  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #keep(session: ServerHttp2Session): void {
    widenWindow(session);
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
    session.on('error', (error) => this.#log.debug({ err: error }, 'gRPC connection error'));
  }

  #serve(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders & { ':path'?: string },
    raw: string[],
  ): void {
    stream.on('error', (error) => this.#log.debug({ err: error }, 'gRPC stream error'));
    const path = headers[':path'] ?? '';
    const found = this.#methods.get(path);
    if (!found) {
      this.#log.debug({ path }, 'unknown gRPC method');
      refuse(stream, new GrpcError(Code.unimplemented, `unknown method ${path}`));
      return;
    }
    const answering = () =>
      answer(stream, { ...found, metadata: Metadata.fromRaw(raw), toError: this.#toError });
    if (!found.method || !this.#traced(path, headers)) return void answering();
    void this.#tracer.request(path.slice(1), headers, async (span) => {
      const error = await answering();
      if (error && error.code !== Code.cancelled) span.fail(error);
    });
  }

  /** Calls belong to what their clients trace; of the others, those that do something by themselves begin a trace. */
  #traced(path: string, { traceparent }: IncomingHttpHeaders): boolean {
    return traceparent !== undefined || this.#beginning.has(path);
  }
}
