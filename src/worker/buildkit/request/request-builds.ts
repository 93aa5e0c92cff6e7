import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { patiently } from '#async/patiently.ts';
import { canceled, invalid } from '#errors/errors.ts';
import type { Build, BuildService, BuildStart } from '#worker/build/build-service.ts';
import { ArchiveSession } from '#worker/build/classic/archive-session.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import { leftWaiting } from '#worker/build/session/left-waiting.ts';
import type { Sessions } from '#worker/build/session/sessions.ts';
import { SharedSession } from '#worker/build/solve/shared-session.ts';
import { StatusFeed } from '../control/status-feed.ts';
import { StatusResponseSchema } from '../proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import type { BuildRequest, BuildRequestOutput } from './build-request.ts';
import { HandedOver } from './handed-over.ts';
import { makesImage, requestStart } from './request-start.ts';

export interface RequestBuildsPorts {
  readonly builds: Pick<BuildService, 'begin'>;
  readonly sessions: Sessions;
}

const SESSION_PATIENCE_MS = 2_000;
const SESSION_LEAD_MS = 100;

interface Files {
  readonly session?: BuildSession;
  /** Nothing more of the client's body is wanted. */
  readonly ended?: () => void;
}

/**
 * BuildKit by `POST /build?version=2`, as docker CLIs before buildx have it (18.09 to 20.10): the client's session is a
 * connection of its own, progress is the answer to the request.
 */
export class RequestBuilds {
  readonly #ports: RequestBuildsPorts;
  readonly #patienceMs: number;
  readonly #uploads = new HandedOver();
  readonly #running = new Map<string, AbortController>();

  /** `patienceMs`: how long a client may leave its build waiting for what its requests bring; 0: for ever. */
  constructor(ports: RequestBuildsPorts, { patienceMs }: { patienceMs: number }) {
    this.#ports = ports;
    this.#patienceMs = patienceMs;
  }

  /** Answers the image's ID; undefined when it makes none. Throws why the build failed. */
  async build(
    request: BuildRequest,
    output: BuildRequestOutput,
    options: { signal: AbortSignal },
  ): Promise<string | undefined> {
    const ref = randomUUID();
    const id = request.id || ref;
    const controller = new AbortController();
    const signal = AbortSignal.any([options.signal, controller.signal]);
    this.#running.set(id, controller);
    let files: Files = {};
    try {
      files = await this.#files(request, id, signal);
      const { session } = files;
      const start = requestStart(request, ref);
      const response = await this.#follow(
        session ? { ...start, ...uploaded(start), session } : start,
        output,
        signal,
      );
      if (!makesImage(request)) return undefined;
      return response['containerimage.config.digest'] ?? response['containerimage.digest'];
    } catch (error) {
      throw signal.aborted ? canceled('context canceled') : error;
    } finally {
      files.ended?.();
      if (this.#running.get(id) === controller) this.#running.delete(id);
    }
  }

  /** Gives a build its context. Resolves when it has it. Throws `not-found` where no such build comes. */
  upload(id: string, body: AsyncIterable<Uint8Array>, options: { signal: AbortSignal }): Promise<void> {
    return this.#uploads.give(id, body, options);
  }

  /**
   * To be called before a request is refused: a client that hears of it while it still opens its session waits, for ten
   * seconds, for a session that nobody uses. Resolves when the session is there, or does not come.
   */
  async awaitSession(id: string, options: { signal: AbortSignal }): Promise<void> {
    if (id === '') return;
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(SESSION_PATIENCE_MS)]);
    await this.#ports.sessions.find(id, { signal }).catch(() => undefined);
    // It has to hear of that on its side first.
    await sleep(SESSION_LEAD_MS, undefined, { signal: options.signal }).catch(() => undefined);
  }

  /** Ends the build that was begun with this id; not finding it is no error. */
  cancel(id: string): void {
    this.#running.get(id)?.abort();
  }

  async #follow(
    start: BuildStart,
    output: BuildRequestOutput,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>> {
    const build = this.#ports.builds.begin(start);
    const cancel = () => build.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      // All that was told is sent before the end is, also that it failed.
      const [done] = await Promise.allSettled([build.done, tell(build, output)]);
      if (done.status === 'rejected') throw done.reason;
      return done.value;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  async #files(
    { context, sessionId, registryAuth }: BuildRequest,
    id: string,
    signal: AbortSignal,
  ): Promise<Files> {
    const { sessions } = this.#ports;
    const client = sessionId === '' ? undefined : await sessions.find(sessionId, { signal });
    const given = context === 'upload' ? await this.#uploads.take(id, { signal }) : undefined;
    const body = given?.body ?? (isBody(context) ? context : undefined);
    if (context === 'session' && !client) throw invalid('a build of a session’s files without a session');
    if (!body && client) return {};
    const patience = this.#patienceMs;
    const upload = body && patiently(body, patience, () => leftWaiting(patience));
    const own = new ArchiveSession({ context: undefined, upload, registryAuth }, signal);
    // The client is asked first for all that it offers.
    const session = client
      ? new SharedSession(() => [client, own], AbortSignal.any([client.closed, signal]))
      : own;
    return { session, ...(given && { ended: given.ended }) };
  }
}

/** Under the name by which BuildKit's clients call what they upload. */
function uploaded(start: BuildStart): Partial<BuildStart> {
  if (start.frontendOptions.context) return {};
  return { frontendOptions: { ...start.frontendOptions, context: 'http://buildkit-session/context' } };
}

function isBody(context: BuildRequest['context']): context is AsyncIterable<Uint8Array> {
  return typeof context === 'object' && Symbol.asyncIterator in context;
}

async function tell(build: Build, output: BuildRequestOutput): Promise<void> {
  const feed = new StatusFeed();
  const { signal } = new AbortController();
  build.watch(feed, { signal }).then(
    () => feed.end(),
    () => feed.end(),
  );
  for await (const message of feed.messages()) {
    await output.trace(toBinary(StatusResponseSchema, create(StatusResponseSchema, message)));
  }
}
