import {
  type ClientHttp2Session,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { Logger } from 'pino';
import { canceled, invalid, notFound } from '#errors/errors.ts';
import { FRONTEND_CAPABILITIES, GRAPH_CAPABILITIES } from '#worker/buildkit/gateway/capabilities.ts';
import { frameOf } from '#worker/buildkit/grpc/frames.ts';
import { h2Options, widenWindow } from '#worker/buildkit/grpc/h2-settings.ts';
import { keepAlive } from '#worker/buildkit/grpc/keep-alive.ts';
import { Metadata } from '#worker/buildkit/grpc/metadata.ts';
import {
  InfoRequestSchema,
  ReadContentRequestSchema,
} from '#worker/buildkit/proto/github.com/containerd/containerd/api/services/content/v1/content_pb.ts';
import {
  BuildHistoryRequestSchema,
  StatusRequestSchema,
  UpdateBuildHistoryRequestSchema,
} from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { PongResponseSchema } from '#worker/buildkit/proto/github.com/moby/buildkit/frontend/gateway/pb/gateway_pb.ts';
import type { BuildHomes, StartedBuild } from './build-homes.ts';
import { type Gathered, gather, hasAnswer } from './grpc-gather.ts';
import { beginAnswer, firstMessage, openGrpc, refuse, relay } from './grpc-relay.ts';
import type { PoolContents } from './pool-contents.ts';
import { QueuedBuild } from './queued-build.ts';
import { type SolveFacts, solveFacts } from './solve-wish.ts';
import type { LivingWorker, Workers } from './workers.ts';

const CONTROL = '/moby.buildkit.v1.Control';
const PING = '/moby.buildkit.v1.frontend.LLBBridge/Ping';
const SESSION_ID = 'x-docker-expose-session-uuid';
const SESSION_KEY = 'x-docker-expose-session-sharedkey';
const BUILD_ID = 'buildkit-controlapi-buildid';
/** What builds left behind, known by its digest alone. */
const CONTENT = '/containerd.services.content.v1.Content';
/** Clients ask for a build's progress at the moment that they ask for the build: in milliseconds. */
const PATIENCE = 10_000;
/** A build that is not heard of for so long may be one of the past. */
const BRIEFLY = 500;
const LOOK = 25;

/** A client's connection: to the workers it needs, and the one of its last build. */
interface Connection {
  readonly upstreams: Map<string, Promise<ClientHttp2Session>>;
  /** Those that were asked for over it, by what they are called, as long as they last. */
  readonly builds: Map<string, QueuedBuild>;
  home: LivingWorker | undefined;
  /** The build of the past that was asked for last, and who has its record. */
  archive: { readonly reference: string; readonly worker: LivingWorker } | undefined;
  /** How many builds of it have a worker: its `home`. */
  running: number;
  /** The build that waits for a worker for all of them. */
  first: QueuedBuild | undefined;
}

/** A call that is being served. */
interface Call {
  readonly stream: ServerHttp2Stream;
  readonly path: string;
  readonly metadata: Metadata;
  readonly connection: Connection;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

/**
 * BuildKit's API of the pool: each call goes to the worker of its build, which its session or its reference names, and
 * what says neither to the one of the connection's last build. Calls pass as they are. Builds wait for a worker in line;
 * those of one connection have one place, on one worker: they may wait for one another.
 */
export class GrpcProxy implements Disposable {
  readonly #homes: BuildHomes;
  readonly #workers: Workers;
  readonly #contents: PoolContents;
  readonly #log: Logger;
  readonly #keepAliveMs: number;
  readonly #http2 = createServer({
    ...h2Options,
    settings: { ...h2Options.settings, maxConcurrentStreams: 1_000 },
  });
  readonly #connections = new Map<ServerHttp2Session, Connection>();

  /** `keepAliveMs`: see `keepAlive`; 0: clients are not asked. */
  constructor(
    ports: { homes: BuildHomes; workers: Workers; contents: PoolContents; log: Logger },
    { keepAliveMs }: { keepAliveMs: number },
  ) {
    this.#keepAliveMs = keepAliveMs;
    this.#homes = ports.homes;
    this.#workers = ports.workers;
    this.#contents = ports.contents;
    this.#log = ports.log;
    this.#http2.on('session', (session) => this.#keep(session));
    this.#http2.on('stream', (stream, headers, _flags, raw) => void this.#serve(stream, headers, raw ?? []));
    this.#http2.on('sessionError', (error) => this.#log.debug({ err: error }, 'gRPC connection error'));
  }

  /** Serves a connection until either side closes it. */
  accept(connection: Duplex): void {
    connection.on('error', () => connection.destroy());
    const interval = this.#keepAliveMs;
    // The session is made while the connection is taken.
    if (interval) this.#http2.once('session', (session) => keepAlive(session, connection, interval));
    this.#http2.emit('connection', connection);
  }

  [Symbol.dispose](): void {
    for (const session of this.#connections.keys()) session.destroy();
  }

  #keep(session: ServerHttp2Session): void {
    widenWindow(session);
    const connection: Connection = {
      upstreams: new Map(),
      builds: new Map(),
      home: undefined,
      archive: undefined,
      running: 0,
      first: undefined,
    };
    this.#connections.set(session, connection);
    session.on('error', (error) => this.#log.debug({ err: error }, 'gRPC connection error'));
    session.once('close', () => {
      this.#connections.delete(session);
      for (const upstream of connection.upstreams.values()) {
        upstream.then((each) => each.destroy()).catch(() => undefined);
      }
    });
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: string[]): Promise<void> {
    stream.on('error', (error) => this.#log.debug({ err: error }, 'gRPC stream error'));
    const connection = this.#connections.get(stream.session as ServerHttp2Session);
    if (!connection) {
      stream.destroy();
      return;
    }
    const path = headers[':path'] ?? '';
    const gone = new AbortController();
    stream.once('close', () => gone.abort());
    const call = { stream, path, metadata: Metadata.fromRaw(raw), connection, signal: gone.signal };
    try {
      await this.#answer(call);
    } catch (error) {
      refuse(stream, error);
    }
  }

  async #answer(call: Call): Promise<void> {
    const { path, metadata, connection } = call;
    if (path === `${CONTROL}/Solve`) return await this.#solve(call);
    if (path === `${CONTROL}/Status`) return await this.#status(call);
    if (path === `${CONTROL}/DiskUsage`)
      return void (await this.#gather(call, await firstMessage(call.stream), 'merged'));
    if (path === `${CONTROL}/Prune`) return void (await this.#gather(call, await firstMessage(call.stream)));
    if (path === `${CONTROL}/ListenBuildHistory`) return await this.#listHistory(call);
    if (path === `${CONTROL}/UpdateBuildHistory`) return await this.#updateHistory(call);
    if (path === `${CONTENT}/List`) return void (await this.#gather(call, await firstMessage(call.stream)));
    if (path === `${CONTENT}/Info` || path === `${CONTENT}/Read`) return await this.#content(call);
    const build = metadata.get(BUILD_ID);
    if (build && path === PING) return await this.#ping(call, build);
    if (build) return await this.#pass(call, await this.#ofBuild(call, build));
    const session = path === `${CONTROL}/Session` ? metadata.get(SESSION_ID) : undefined;
    if (session) return await this.#session(call, session);
    await this.#pass(call, await this.#lastOf(connection));
  }

  async #lastOf({ archive, home }: Connection): Promise<LivingWorker> {
    return archive?.worker ?? home ?? (await this.#workers.some())[0]!;
  }

  /** What concerns all workers; answers those that had something to say. */
  async #gather(call: Call, first: Buffer, kind: Gathered = 'in-turn'): Promise<LivingWorker[]> {
    const { stream, path, metadata, connection, signal } = call;
    const reached = await this.#reachable(connection);
    const told = new Set<LivingWorker>();
    const answered = (at: number) => void told.add(reached[at]!.worker);
    const upstreams = reached.map(({ upstream }) => upstream);
    await gather(stream, upstreams, { path, metadata, first, signal, kind, answered });
    return [...told];
  }

  /** All workers but those that are not reached, or have no engine for the client. Throws `unavailable` when that is all. */
  async #reachable(connection: Connection) {
    const failures: unknown[] = [];
    const all = await Promise.all(
      (await this.#workers.some()).map(async (worker) => {
        try {
          return [{ worker, upstream: await this.#upstream(connection, worker) }];
        } catch (error) {
          this.#log.warn({ err: error, worker: worker.name }, 'a worker was left out');
          failures.push(error);
          return [];
        }
      }),
    );
    const reached = all.flat();
    if (reached.length === 0) throw failures[0];
    return reached;
  }

  /** Of all workers, and what is to come, if that is to be told, too. */
  async #listHistory(call: Call): Promise<void> {
    const first = await firstMessage(call.stream);
    const { EarlyExit, Ref } = read(BuildHistoryRequestSchema, first);
    const [worker, ...others] = await this.#gather(call, first, EarlyExit ? 'in-turn' : 'live');
    // What belongs to the record is asked for next.
    if (Ref && worker && others.length === 0) call.connection.archive = { reference: Ref, worker };
  }

  async #updateHistory(call: Call): Promise<void> {
    const first = await firstMessage(call.stream);
    const { Ref } = read(UpdateBuildHistoryRequestSchema, first);
    const worker = (await this.#homes.buildNow(Ref)) ?? (await this.#archiveOf(call, Ref));
    await this.#pass(call, worker ?? (await this.#lastOf(call.connection)), { first });
  }

  async #content(call: Call): Promise<void> {
    const first = await firstMessage(call.stream);
    const schema = call.path.endsWith('/Read') ? ReadContentRequestSchema : InfoRequestSchema;
    const { digest } = read(schema, first);
    const asked = frameOf(toBinary(InfoRequestSchema, create(InfoRequestSchema, { digest })));
    const worker = await this.#firstWith(call, `${CONTENT}/Info`, asked);
    await this.#pass(call, worker ?? (await this.#lastOf(call.connection)), { first });
  }

  /** Who has the record of a build of the past. */
  async #archiveOf(call: Call, reference: string): Promise<LivingWorker | undefined> {
    const request = create(BuildHistoryRequestSchema, { Ref: reference, EarlyExit: true });
    const asked = frameOf(toBinary(BuildHistoryRequestSchema, request));
    return await this.#firstWith(call, `${CONTROL}/ListenBuildHistory`, asked);
  }

  /** The first worker that has an answer, from the one of the connection's last build on. */
  async #firstWith(
    { connection, metadata, signal }: Call,
    path: string,
    first: Buffer,
  ): Promise<LivingWorker | undefined> {
    const last = await this.#lastOf(connection);
    const others = (await this.#workers.some()).filter(({ name }) => name !== last.name);
    for (const worker of [last, ...others]) {
      const upstream = await this.#upstream(connection, worker).catch(() => undefined);
      if (upstream && (await hasAnswer(upstream, { path, metadata, first, signal }))) return worker;
    }
    return undefined;
  }

  async #session(call: Call, id: string): Promise<void> {
    call.stream.once('close', () => void this.#homes.end(id).catch(() => undefined));
    const project = call.metadata.get(SESSION_KEY) ?? '';
    await this.#pass(call, await this.#homes.ofSession(id, project, call.signal));
  }

  /** The call lasts as long as the build, and gives its place back with its end. */
  async #solve(call: Call): Promise<void> {
    const { stream, connection } = call;
    const first = await firstMessage(stream);
    const facts = solveFacts(first);
    const build = new QueuedBuild();
    connection.builds.set(facts.reference, build);
    const over = () => connection.builds.delete(facts.reference);
    stream.once('close', over);
    try {
      const started = await this.#begin(call, facts, build);
      connection.home = started.worker;
      const counts = facts.isInternal ? 0 : 1;
      connection.running += counts;
      const ended = () => {
        connection.running -= counts;
        void started[Symbol.asyncDispose]();
      };
      if (stream.closed) return ended();
      stream.once('close', ended);
      build.start(started.worker);
      // What it made can be run by whoever hears of its end.
      const beforeAnswer = () => this.#contents.touch(started.worker);
      await this.#pass(call, started.worker, { first, beforeAnswer });
    } catch (error) {
      build.fail(error);
      throw error;
    }
  }

  /** As one of others of its connection, if there are any; else in line, unless it is nothing to wait for. */
  async #begin(call: Call, { isInternal, ...facts }: SolveFacts, build: QueuedBuild): Promise<StartedBuild> {
    const { connection, signal } = call;
    if (isInternal) return await this.#homes.begin({ ...facts, signal, exempt: true });
    while (connection.first) await connection.first.started(signal).catch(() => {});
    if (signal.aborted) throw canceled('the client has gone');
    const request = { ...facts, signal, onPosition: (position: number) => build.at(position) };
    if (connection.running > 0) {
      const wish = { ...facts.wish, pinned: connection.home!.name };
      return await this.#homes.begin({ ...request, wish, exempt: true });
    }
    connection.first = build;
    try {
      return await this.#homes.begin(request);
    } finally {
      connection.first = undefined;
    }
  }

  async #status(call: Call): Promise<void> {
    const { stream, connection, signal } = call;
    const first = await firstMessage(stream);
    const reference = read(StatusRequestSchema, first).Ref;
    const { archive } = connection;
    const build =
      (archive?.reference === reference ? archive.worker : undefined) ??
      (await this.#find(connection, reference, BRIEFLY)) ??
      (await this.#archiveOf(call, reference)) ??
      (await this.#known(connection, reference));
    if (!(build instanceof QueuedBuild)) return await this.#pass(call, build, { first });
    let hasBegun = false;
    for await (const message of build.progress(signal)) {
      if (!hasBegun) beginAnswer(stream);
      hasBegun = true;
      stream.write(message);
    }
    await this.#pass(call, await build.started(signal), { first, hasBegun });
  }

  /** Clients give a worker 15 seconds to answer this; a build may wait for one longer than that. */
  async #ping(call: Call, reference: string): Promise<void> {
    const { stream, connection, signal } = call;
    const build = await this.#known(connection, reference);
    if (!(build instanceof QueuedBuild)) return await this.#pass(call, build);
    await build.changed(0, signal);
    if (build.worker) return await this.#pass(call, build.worker);
    const capability = (id: string) => ({ ID: id, Enabled: true });
    const pong = create(PongResponseSchema, {
      FrontendAPICaps: FRONTEND_CAPABILITIES.map(capability),
      LLBCaps: GRAPH_CAPABILITIES.map(capability),
      Workers: [],
    });
    beginAnswer(stream);
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(frameOf(toBinary(PongResponseSchema, pong)));
  }

  async #ofBuild({ connection, signal }: Call, reference: string): Promise<LivingWorker> {
    const build = await this.#known(connection, reference);
    return build instanceof QueuedBuild ? await build.started(signal) : build;
  }

  /** Throws `not-found`. */
  async #known(connection: Connection, reference: string): Promise<QueuedBuild | LivingWorker> {
    const build = await this.#find(connection, reference, PATIENCE);
    if (build) return build;
    throw notFound(`no such build ${reference}`);
  }

  /** A build of this connection, or the worker of another one's. Waits a little for what is to come. */
  async #find(
    connection: Connection,
    reference: string,
    patience: number,
  ): Promise<QueuedBuild | LivingWorker | undefined> {
    for (let waited = 0; waited < patience; waited += LOOK) {
      const build = connection.builds.get(reference) ?? (await this.#homes.buildNow(reference));
      if (build) return build;
      await sleep(LOOK);
    }
    return undefined;
  }

  async #pass(
    { stream, path, metadata, connection }: Call,
    worker: LivingWorker,
    more: { first?: Buffer; hasBegun?: boolean; beforeAnswer?: () => Promise<void> } = {},
  ): Promise<void> {
    const upstream = await this.#upstream(connection, worker);
    if (!stream.destroyed) relay(stream, upstream, { path, metadata, ...more });
  }

  #upstream(connection: Connection, worker: LivingWorker): Promise<ClientHttp2Session> {
    let upstream = connection.upstreams.get(worker.name);
    if (!upstream) {
      upstream = openGrpc(worker).then((session) => {
        session.once('close', () => connection.upstreams.delete(worker.name));
        return session;
      });
      connection.upstreams.set(worker.name, upstream);
      upstream.catch(() => connection.upstreams.delete(worker.name));
    }
    return upstream;
  }
}

/** What a message of a client says. Throws `invalid`. */
function read<Shape extends DescMessage>(shape: Shape, frame: Buffer): MessageShape<Shape> {
  if (frame[0] !== 0) throw invalid('compressed messages are not understood');
  try {
    return fromBinary(shape, frame.subarray(5, 5 + frame.readUInt32BE(1)));
  } catch (cause) {
    throw invalid('this is no message', { cause });
  }
}
