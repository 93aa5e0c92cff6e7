import { randomUUID } from 'node:crypto';
import { notFound, unsupported } from '#errors/errors.ts';
import type {
  BuildSession,
  Credentials,
  DirectoryRequest,
  SessionService,
  SyncedDirectory,
} from '../session/build-session.ts';
import type { RegistryAuth } from './classic-request.ts';
import type { ReceivedContext } from './received-context.ts';

/**
 * The session of a client that sends all it has along with its request: a context, unpacked already or as it comes, and
 * credentials in a header.
 */
export class ArchiveSession implements BuildSession {
  readonly id = randomUUID();
  readonly closed: AbortSignal;
  readonly #context: ReceivedContext | undefined;
  readonly #upload: AsyncIterable<Uint8Array> | undefined;
  readonly #registryAuth: RegistryAuth;

  /** `context`, `upload`: undefined where the context is elsewhere. */
  constructor(
    given: {
      readonly context: ReceivedContext | undefined;
      readonly upload?: AsyncIterable<Uint8Array> | undefined;
      readonly registryAuth: RegistryAuth;
    },
    closed: AbortSignal,
  ) {
    this.#context = given.context;
    this.#upload = given.upload;
    this.#registryAuth = given.registryAuth;
    this.closed = closed;
  }

  offers(service: SessionService): boolean {
    if (service === 'upload') return this.#upload !== undefined;
    return service === 'credentials' || (service === 'directory' && this.#context !== undefined);
  }

  /** Whatever its name: there is one, with the Dockerfile in it. */
  async directory(
    { excludePatterns }: DirectoryRequest,
    options: { signal: AbortSignal },
  ): Promise<SyncedDirectory> {
    if (!this.#context) throw unsupported('the client has sent no build context');
    return this.#context.directory(excludePatterns, options);
  }

  async credentials(host: string): Promise<Credentials | undefined> {
    const auth = this.#registryAuth[host] ?? this.#registryAuth[`https://${host}`];
    if (auth?.identitytoken) return { username: '', secret: auth.identitytoken };
    return auth?.username && auth.password ? { username: auth.username, secret: auth.password } : undefined;
  }

  async token(): Promise<undefined> {
    return undefined;
  }

  async secret(id: string): Promise<never> {
    throw notFound(`secret ${id}: not found`);
  }

  async agent(id: string): Promise<never> {
    throw notFound(`no ssh agent ${id}: not found`);
  }

  async sendFile(): Promise<never> {
    throw unsupported('the client takes no files');
  }

  async sendDirectory(): Promise<never> {
    throw unsupported('the client takes no files');
  }

  upload(): AsyncIterable<Uint8Array> {
    if (!this.#upload) throw unsupported('the client has no uploads');
    return this.#upload;
  }

  readContent(): never {
    throw unsupported('the client has no content store');
  }

  async hasContent(): Promise<never> {
    throw unsupported('the client has no content store');
  }

  async writeContent(): Promise<never> {
    throw unsupported('the client has no content store');
  }
}
