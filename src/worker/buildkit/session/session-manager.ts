import type { Duplex } from 'node:stream';
import { conflict, invalid, isKind, notFound, tooMany } from '#errors/errors.ts';
import type { PolicyVerifier } from '#worker/build/policy/policy-verifier.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import type { Sessions } from '#worker/build/session/sessions.ts';
import { GrpcClient } from '../grpc/grpc-client.ts';
import type { Metadata } from '../grpc/metadata.ts';
import { SessionPolicy } from '../policy/session-policy.ts';
import { ClientSession, type SessionParts } from './client-session.ts';
import { SharedTokens } from './client-tokens.ts';
import { monitorHealth, ownPatience } from './health-monitor.ts';

/** How long a build waits for the session that it names: clients open both at once. */
const PATIENCE = 10_000;
const MAX_SESSIONS = 1_000;

/** Clients' sessions, by the id that their builds name. */
export class SessionManager implements Sessions {
  readonly #parts: SessionParts;
  readonly #patienceMs: number;
  readonly #sessions = new Map<string, ClientSession>();
  readonly #waiting = new Map<string, Set<(session: ClientSession) => void>>();

  /** `patienceMs`: how long a client may leave a build waiting; 0: for ever. */
  constructor({
    patienceMs,
    ...parts
  }: Omit<SessionParts, 'tokens' | 'sessions'> & { readonly patienceMs: number }) {
    this.#parts = { ...parts, tokens: new SharedTokens(), sessions: this };
    this.#patienceMs = patienceMs;
  }

  /** Throws for a session that cannot be opened: `invalid`, `conflict` for an id that is taken, `too-many`. */
  check(metadata: Metadata): string {
    const id = metadata.get('x-docker-expose-session-uuid');
    if (!id) throw invalid('a session without an id');
    if (this.#sessions.has(id)) throw conflict(`session ${id} already exists`);
    if (this.#sessions.size >= MAX_SESSIONS) throw tooMany('too many sessions');
    return id;
  }

  /**
   * Takes a connection on which the client serves its side, and is over when the client has closed it, does not
   * answer health checks any more, or `signal` aborts. Throws what `check` does.
   */
  async serve(connection: Duplex, metadata: Metadata, signal?: AbortSignal): Promise<void> {
    const id = this.check(metadata);
    const client = new GrpcClient(connection, { patienceMs: this.#patienceMs });
    const session = new ClientSession(this.#parts, { id, client, metadata });
    this.#sessions.set(id, session);
    for (const resolve of this.#waiting.get(id) ?? []) resolve(session);
    const close = () => client.close();
    signal?.addEventListener('abort', close, { once: true });
    // The client's half-close is its goodbye: it waits for ours.
    connection.once('end', close);
    try {
      void monitorHealth(client, ownPatience(metadata));
      if (signal?.aborted) close();
      await closed(client.closed);
    } finally {
      this.#sessions.delete(id);
      signal?.removeEventListener('abort', close);
      connection.destroy();
    }
  }

  /** Waits a little for a session that is about to be opened. Throws `not-found` when there is none. */
  async find(id: string, options: { signal: AbortSignal }): Promise<BuildSession> {
    return this.#find(id, options);
  }

  /** Lets the client of a session decide what builds are made of. */
  policyOf(id: string): PolicyVerifier {
    return new SessionPolicy(async (request, options) =>
      (await this.#find(id, options)).checkPolicy(request, options),
    );
  }

  async #find(id: string, { signal }: { signal: AbortSignal }): Promise<ClientSession> {
    const known = this.#sessions.get(id);
    if (known) return known;
    const deadline = AbortSignal.timeout(PATIENCE);
    try {
      return await this.#opened(id, AbortSignal.any([signal, deadline]));
    } catch (error) {
      if (deadline.aborted && !isKind(error, 'canceled'))
        throw notFound(`no active session for ${id}: context deadline exceeded`);
      throw error;
    }
  }

  /** Ends all sessions. */
  close(): void {
    for (const session of this.#sessions.values()) session.close();
  }

  async #opened(id: string, signal: AbortSignal): Promise<ClientSession> {
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting);
    const { promise, resolve, reject } = Promise.withResolvers<ClientSession>();
    const abort = () => reject(signal.reason);
    waiting.add(resolve);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', abort);
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(id);
    }
  }
}

function closed(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
