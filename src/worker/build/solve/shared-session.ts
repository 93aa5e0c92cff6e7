import { canceled, isKind, unavailable } from '#errors/errors.ts';
import type {
  AgentOptions,
  BuildSession,
  DirectoryRequest,
  ExportedTree,
  FileTarget,
  SessionService,
} from '../session/build-session.ts';

/** The sessions of all the builds that want a step, as one: when a client goes, the next one's is asked. */
export class SharedSession implements BuildSession {
  readonly closed: AbortSignal;
  readonly #sessions: () => readonly BuildSession[];

  constructor(sessions: () => readonly BuildSession[], closed: AbortSignal) {
    this.#sessions = sessions;
    this.closed = closed;
  }

  get id(): string {
    return this.#sessions()[0]?.id ?? '';
  }

  get original(): BuildSession | undefined {
    return this.#sessions()[0];
  }

  offers(service: SessionService): boolean {
    return this.#sessions().some((session) => session.offers(service));
  }

  directory(request: DirectoryRequest, options: { signal: AbortSignal }) {
    return this.#ask('directory', (session) => session.directory(request, options));
  }

  credentials(host: string, options: { signal: AbortSignal }) {
    return this.#ask('credentials', (session) => session.credentials(host, options));
  }

  token(...args: Parameters<BuildSession['token']>) {
    return this.#ask('token', (session) => session.token(...args));
  }

  secret(id: string, options: { signal: AbortSignal }) {
    return this.#ask('secret', (session) => session.secret(id, options));
  }

  agent(id: string, options: AgentOptions) {
    return this.#ask('agent', (session) => session.agent(id, options));
  }

  sendFile(
    exporterId: number,
    metadata: Readonly<Record<string, string>>,
    options: { signal: AbortSignal },
  ): Promise<FileTarget> {
    return this.#ask('send-file', (session) => session.sendFile(exporterId, metadata, options));
  }

  sendDirectory(
    exporterId: number,
    trees: readonly ExportedTree[],
    options: { signal: AbortSignal; progress?: (bytes: number) => void },
  ): Promise<void> {
    return this.#ask('send-directory', (session) => session.sendDirectory(exporterId, trees, options));
  }

  upload(path: string, options: { signal: AbortSignal }): AsyncIterable<Uint8Array> {
    return this.#first('upload').upload(path, options);
  }

  readContent(store: string, digest: string, options: { signal: AbortSignal }): AsyncIterable<Uint8Array> {
    return this.#first('content').readContent(store, digest, options);
  }

  hasContent(store: string, digest: string, options: { signal: AbortSignal }): Promise<boolean> {
    return this.#ask('content', (session) => session.hasContent(store, digest, options));
  }

  writeContent(...args: Parameters<BuildSession['writeContent']>): Promise<void> {
    return this.#ask('content', (session) => session.writeContent(...args));
  }

  async #ask<T>(service: SessionService, task: (session: BuildSession) => Promise<T>): Promise<T> {
    for (;;) {
      const session = this.#first(service);
      try {
        return await task(session);
      } catch (error) {
        const gone = isKind(error, 'unavailable') && session.closed.aborted;
        if (!gone || !this.#sessions().some((other) => !other.closed.aborted)) throw error;
      }
    }
  }

  /** One that is connected, and if possible offers what is asked for. */
  #first(service: SessionService): BuildSession {
    if (this.closed.aborted) throw canceled();
    const open = this.#sessions().filter((session) => !session.closed.aborted);
    const session = open.find((one) => one.offers(service)) ?? open[0];
    if (!session) throw unavailable('the client of this build is gone');
    return session;
  }
}
