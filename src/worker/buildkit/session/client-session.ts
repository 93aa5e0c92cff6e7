import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FetchedToken, TokenRequest } from '#distribution/credential-keeper.ts';
import { orDiskFull } from '#errors/disk-full.ts';
import {
  canceled,
  invalid,
  isKind,
  messageOf,
  notFound,
  tooLarge,
  unauthorized,
  unavailable,
  unsupported,
} from '#errors/errors.ts';
import type { RetainedDirectories } from '#worker/build/context/retained-directories.ts';
import type {
  AgentOptions,
  BuildSession,
  Credentials,
  DirectoryRequest,
  ExportedTree,
  FileTarget,
  SessionService,
  SyncedDirectory,
} from '#worker/build/session/build-session.ts';
import type { Sessions } from '#worker/build/session/sessions.ts';
import type { ReceiveThreads } from '../fsutil/receive-threads.ts';
import type { ReceiveLimits } from '../fsutil/tree-receiver.ts';
import type { GrpcClient } from '../grpc/grpc-client.ts';
import { Code, GrpcError } from '../grpc/grpc-error.ts';
import { Metadata } from '../grpc/metadata.ts';
import { Content } from '../proto/github.com/containerd/containerd/api/services/content/v1/content_pb.ts';
import { Auth } from '../proto/github.com/moby/buildkit/session/auth/auth_pb.ts';
import { FileSend, FileSync } from '../proto/github.com/moby/buildkit/session/filesync/filesync_pb.ts';
import { Secrets } from '../proto/github.com/moby/buildkit/session/secrets/secrets_pb.ts';
import { SSH } from '../proto/github.com/moby/buildkit/session/sshforward/ssh_pb.ts';
import { Upload } from '../proto/github.com/moby/buildkit/session/upload/upload_pb.ts';
import {
  type CheckPolicyRequestSchema,
  type CheckPolicyResponse,
  PolicyVerifier,
} from '../proto/github.com/moby/buildkit/sourcepolicy/policysession/policysession_pb.ts';
import { listenForAgent } from './agent-socket.ts';
import { ClientTokens, type SharedTokens } from './client-tokens.ts';
import { sendContent, storeMetadata } from './content-send.ts';
import { sendDirectory } from './directory-send.ts';
import { syncDirectory } from './directory-sync.ts';
import { openFileTarget } from './file-target.ts';

export interface SessionParts {
  readonly directories: RetainedDirectories;
  readonly receivers: ReceiveThreads;
  readonly tokens: SharedTokens;
  readonly limits: ReceiveLimits;
  /** Where others are found that the client has opened. */
  readonly sessions: Sessions;
}

interface Options {
  readonly signal: AbortSignal;
}

/** What a client has to serve for us to be able to use it. */
const SERVICES = {
  directory: FileSync.method.diffCopy,
  credentials: Auth.method.credentials,
  token: Auth.method.fetchToken,
  secret: Secrets.method.getSecret,
  agent: SSH.method.forwardAgent,
  'send-file': FileSend.method.diffCopy,
  'send-directory': FileSend.method.diffCopy,
  upload: Upload.method.pull,
  content: Content.method.read,
} as const satisfies Record<SessionService, unknown>;

const MAX_SECRET_BYTES = 500 * 1024;

/** A client's side of its builds, over the connection that it opened. */
export class ClientSession implements BuildSession {
  readonly id: string;
  readonly sharedKey: string;
  readonly #parts: SessionParts;
  readonly #client: GrpcClient;
  readonly #tokens: ClientTokens;
  readonly #methods: ReadonlySet<string>;
  /** What came of asking a client for credentials that does not answer. */
  #silence: Error | undefined;

  constructor(
    parts: SessionParts,
    { id, client, metadata }: { id: string; client: GrpcClient; metadata: Metadata },
  ) {
    this.id = id;
    this.#parts = parts;
    this.#client = client;
    this.#tokens = new ClientTokens(client, parts.tokens);
    this.sharedKey = metadata.get('x-docker-expose-session-sharedkey') ?? '';
    const methods = metadata.all('x-docker-expose-session-grpc-method');
    this.#methods = new Set(methods.map((method) => method.toLowerCase()));
  }

  get closed(): AbortSignal {
    return this.#client.closed;
  }

  close(): void {
    this.#client.close();
  }

  offers(service: SessionService): boolean {
    const { parent, name } = SERVICES[service];
    return this.#methods.has(`/${parent.typeName}/${name}`.toLowerCase());
  }

  async directory(request: DirectoryRequest, { signal }: Options): Promise<SyncedDirectory> {
    const { session, ...own } = request;
    if (session !== undefined && session !== this.id) {
      return (await this.#parts.sessions.find(session, { signal })).directory(own, { signal });
    }
    this.#require('directory');
    const key = JSON.stringify([request.name, request.sharedKeyHint ?? '', this.sharedKey]);
    const patterns = [request.includePatterns, request.excludePatterns, request.followPaths];
    const directory = await this.#parts.directories.acquire({ key, variant: JSON.stringify(patterns) });
    try {
      const { root } = directory;
      const { limits, receivers } = this.#parts;
      const synced = await this.#calling(signal, () =>
        syncDirectory(this.#client, request, { root, limits, receivers, signal }),
      );
      directory.settle(synced);
      return directory;
    } catch (error) {
      // What was sent before a build was given up is of use to the next one; what was refused, or had no room, is not.
      if (!isKind(error, 'canceled') && !this.closed.aborted) directory.drop();
      await directory[Symbol.asyncDispose]();
      if (isNotFound(error)) throw notFound((error as Error).message, { cause: error });
      throw error;
    }
  }

  /** What the client says of a source. It may download things meanwhile, so there is no time limit. */
  async checkPolicy(
    request: MessageInitShape<typeof CheckPolicyRequestSchema>,
    { signal }: Options,
  ): Promise<CheckPolicyResponse> {
    try {
      return await this.#client.unary(PolicyVerifier.method.checkPolicy, request, { signal });
    } catch (error) {
      if (signal.aborted) throw canceled('context canceled');
      throw this.#explained(error);
    }
  }

  async credentials(host: string, { signal }: Options): Promise<Credentials | undefined> {
    if (!this.offers('credentials')) return undefined;
    const { Username: username, Secret: secret } = await this.#loggingIn(signal, (options) =>
      this.#client.unary(Auth.method.credentials, { Host: host }, options),
    );
    return secret === '' ? undefined : { username, secret };
  }

  async token(host: string, request: TokenRequest, { signal }: Options): Promise<FetchedToken | undefined> {
    if (!this.offers('token')) return undefined;
    try {
      return await this.#loggingIn(signal, (options) => this.#tokens.token(host, request, options));
    } catch (error) {
      if (isKind(error, 'invalid'))
        throw unauthorized(`failed to authorize: ${error.message}`, { cause: error });
      throw error;
    }
  }

  async secret(id: string, { signal }: Options): Promise<Uint8Array> {
    if (!this.offers('secret')) throw notFound(`secret ${id}: not found`);
    try {
      const { data } = await this.#calling(signal, (options) =>
        this.#client.unary(Secrets.method.getSecret, { ID: id }, options),
      );
      if (data.length > MAX_SECRET_BYTES)
        throw tooLarge(`secret ${id} is larger than ${MAX_SECRET_BYTES} bytes`);
      return data;
    } catch (error) {
      throw isNotFound(error) ? notFound(`secret ${id}: not found`) : error;
    }
  }

  async agent(id: string, options: AgentOptions): Promise<{ readonly path: string } & AsyncDisposable> {
    if (!this.offers('agent')) throw notFound(`no SSH key ${JSON.stringify(id)} forwarded from the client`);
    try {
      await this.#calling(options.signal, (call) =>
        this.#client.unary(SSH.method.checkAgent, { ID: id }, call),
      );
    } catch (error) {
      // buildx says it in words of its own, with the code `unknown`.
      throw isKind(error, 'invalid') || isNotFound(error)
        ? notFound(messageOf(error), { cause: error })
        : error;
    }
    return listenForAgent(this.#client, id, options);
  }

  async sendFile(
    exporterId: number,
    attrs: Readonly<Record<string, string>>,
    { signal }: Options,
  ): Promise<FileTarget> {
    this.#require('send-file');
    return openFileTarget(this.#client, { exporterId, attrs, signal });
  }

  async sendDirectory(
    exporterId: number,
    trees: readonly ExportedTree[],
    options: Options & { progress?: (bytes: number) => void; mtime?: Date },
  ): Promise<void> {
    this.#require('send-directory');
    try {
      await sendDirectory(this.#client, { exporterId, trees, ...options });
    } catch (error) {
      if (options.signal.aborted) throw canceled('context canceled');
      throw this.#explained(error);
    }
  }

  async *upload(path: string, { signal }: Options): AsyncIterable<Uint8Array> {
    this.#require('upload');
    const metadata = new Metadata().add('urlpath', path).add('urlhost', 'buildkit-session');
    const call = this.#client.stream(Upload.method.pull, { metadata, signal });
    try {
      call.end();
      for await (const { data } of call) yield data;
    } catch (error) {
      if (signal.aborted) throw canceled('context canceled');
      throw this.#explained(error);
    } finally {
      call.cancel();
    }
  }

  async *readContent(store: string, digest: string, { signal }: Options): AsyncIterable<Uint8Array> {
    this.#require('content');
    const call = this.#client.stream(Content.method.read, { metadata: storeMetadata(store), signal });
    try {
      await call.send({ digest });
      call.end();
      for await (const { data } of call) yield data;
    } catch (error) {
      throw isNotFound(error)
        ? notFound(`content ${digest}: not found`, { cause: error })
        : this.#explained(error);
    } finally {
      call.cancel();
    }
  }

  async hasContent(store: string, digest: string, { signal }: Options): Promise<boolean> {
    this.#require('content');
    const metadata = storeMetadata(store);
    try {
      await this.#calling(signal, (options) =>
        this.#client.unary(Content.method.info, { digest }, { ...options, metadata }),
      );
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async writeContent(
    store: string,
    { digest, size }: { readonly digest: string; readonly size: number },
    content: () => AsyncIterable<Uint8Array>,
    { signal }: Options,
  ): Promise<void> {
    this.#require('content');
    try {
      await sendContent(this.#client, { store, digest, size, content, signal });
    } catch (error) {
      if (signal.aborted) throw canceled('context canceled');
      throw this.#explained(error);
    }
  }

  #require(service: SessionService): void {
    if (!this.offers(service)) throw unsupported(`the client does not offer ${service}`);
  }

  /** Registries are asked for several things, each with its credentials: who says nothing is waited for once. */
  async #loggingIn<T>(signal: AbortSignal, call: (options: Options) => Promise<T>): Promise<T> {
    if (this.#silence) throw this.#silence;
    try {
      return await this.#calling(signal, call);
    } catch (error) {
      if (isSilence(error)) this.#silence = error;
      throw error;
    }
  }

  /** Says why a call failed in our words. */
  async #calling<T>(signal: AbortSignal, call: (options: Options) => Promise<T>): Promise<T> {
    try {
      return await call({ signal });
    } catch (error) {
      if (signal.aborted) throw canceled('context canceled');
      throw this.#explained(error);
    }
  }

  #explained(error: unknown): unknown {
    if (this.closed.aborted) return unavailable(`the client of session ${this.id} is gone`, { cause: error });
    if (!(error instanceof GrpcError) || isNotFound(error)) return orDiskFull(error);
    if (error.code === Code.deadlineExceeded) return unavailable(error.message, { cause: error });
    if (error.code === Code.cancelled) return unavailable('the client does not answer', { cause: error });
    return invalid(error.message, { cause: error });
  }
}

function isSilence(error: unknown): error is Error {
  const { cause } = error instanceof Error ? error : {};
  return cause instanceof GrpcError && cause.code === Code.deadlineExceeded;
}

function isNotFound(error: unknown): boolean {
  return error instanceof GrpcError && (error.code === Code.notFound || error.code === Code.unimplemented);
}
