import { chmod, chown } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { notFound, unsupported } from '#errors/errors.ts';
import type {
  AgentOptions,
  BuildSession,
  Credentials,
  DirectoryRequest,
  SessionService,
  SyncedDirectory,
} from '#worker/build/session/build-session.ts';

/** A client that is this process. */
export class TestSession implements BuildSession {
  readonly id = 'test-session';
  readonly #closed = new AbortController();
  /** By name: a directory of this machine. */
  readonly directories = new Map<string, { root: string; id: string }>();
  readonly secrets = new Map<string, string>();
  readonly registries = new Map<string, Credentials>();
  readonly agents = new Set<string>();
  /** By path; each is given once. */
  readonly uploads = new Map<string, Uint8Array>();
  /** By store, by digest. */
  readonly stores = new Map<string, Map<string, Uint8Array>>();
  /** What was asked of it. */
  readonly asked: string[] = [];
  readonly requests: DirectoryRequest[] = [];
  /** Directories that a build still has. */
  held = 0;

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  offers(_service: SessionService): boolean {
    return true;
  }

  async directory(request: DirectoryRequest): Promise<SyncedDirectory> {
    this.requests.push(request);
    const found = this.directories.get(request.name);
    if (!found) throw notFound(`no directory ${request.name}`);
    this.held++;
    return {
      ...found,
      [Symbol.asyncDispose]: async () => {
        this.held--;
      },
    };
  }

  async credentials(host: string): Promise<Credentials | undefined> {
    this.asked.push(`credentials ${host}`);
    return this.registries.get(host);
  }

  async token(): Promise<undefined> {
    return undefined;
  }

  async *upload(path: string): AsyncGenerator<Uint8Array> {
    this.asked.push(`upload ${path}`);
    const bytes = this.uploads.get(path);
    this.uploads.delete(path);
    if (!bytes) throw notFound(`no upload ${path}`);
    yield bytes;
  }

  async secret(id: string): Promise<Uint8Array> {
    const value = this.secrets.get(id);
    if (value === undefined) throw notFound(`no secret ${id}`);
    return Buffer.from(value);
  }

  async agent(id: string, { directory, uid, gid, mode }: AgentOptions) {
    if (!this.agents.has(id)) throw notFound(`no agent ${id}`);
    const path = join(directory, 'agent.sock');
    const server = createServer((socket) => socket.end(`agent ${id}\n`));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await chown(path, uid, gid);
    await chmod(path, mode);
    return {
      path,
      [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
    };
  }

  async *readContent(store: string, digest: string): AsyncGenerator<Uint8Array> {
    this.asked.push(`content ${store} ${digest}`);
    const bytes = this.stores.get(store)?.get(digest);
    if (!bytes) throw notFound(`no content ${digest}`);
    yield bytes;
  }

  async hasContent(store: string, digest: string): Promise<boolean> {
    return this.stores.get(store)?.has(digest) ?? false;
  }

  async writeContent(
    store: string,
    { digest }: { readonly digest: string },
    content: () => AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const contents = this.stores.get(store) ?? new Map<string, Uint8Array>();
    contents.set(digest, Buffer.concat(await Array.fromAsync(content())));
    this.stores.set(store, contents);
  }

  async sendFile(): Promise<never> {
    throw unsupported('not here');
  }

  async sendDirectory(): Promise<never> {
    throw unsupported('not here');
  }
}
