import type { FetchedToken, TokenRequest } from '#distribution/credential-keeper.ts';
import type { TreeChanges } from '../files/tree-memory.ts';
import type { ProgressSink } from '../solve/progress.ts';

/**
 * What a client gives to its build while it is connected: files, credentials, secrets, agents, and a place for
 * results. Every call throws `unavailable` when the client is gone, `unsupported` when it does not offer the service.
 */
export interface BuildSession {
  readonly id: string;
  /** What its client calls its directory: the same from build to build. */
  readonly sharedKey?: string;
  /** Of one that stands for several builds': the first of them. */
  readonly original?: BuildSession | undefined;
  /** Aborted when the client is gone. */
  readonly closed: AbortSignal;
  offers(service: SessionService): boolean;

  /** Brings a directory of the client's here. What was brought before is not sent again. */
  directory(request: DirectoryRequest, options: { signal: AbortSignal }): Promise<SyncedDirectory>;

  /** For a registry's host; undefined: the client has none. */
  credentials(host: string, options: { signal: AbortSignal }): Promise<Credentials | undefined>;

  /**
   * A token for a registry's host, which the client fetches with credentials that stay with it; undefined: it leaves that
   * to us. Throws `unauthorized`.
   */
  token(
    host: string,
    request: TokenRequest,
    options: { signal: AbortSignal },
  ): Promise<FetchedToken | undefined>;

  /** At most 500 KiB. Throws `not-found`. */
  secret(id: string, options: { signal: AbortSignal }): Promise<Uint8Array>;

  /** A unix socket that leads to the client's agent; it is there until it is disposed of. Throws `not-found`. */
  agent(id: string, options: AgentOptions): Promise<{ readonly path: string } & AsyncDisposable>;

  /** Where an exporter's file goes (`--output type=tar,dest=…`). `metadata` are the exporter's response attributes. */
  sendFile(
    exporterId: number,
    metadata: Readonly<Record<string, string>>,
    options: { signal: AbortSignal },
  ): Promise<FileTarget>;

  /** Copies directories of this machine to one of the client's (`--output type=local`). */
  sendDirectory(
    exporterId: number,
    trees: readonly ExportedTree[],
    options: { signal: AbortSignal; progress?: (bytes: number) => void; mtime?: Date },
  ): Promise<void>;

  /** What the client was given on its standard input, once: `path` is that of the URL by which it names it. */
  upload(path: string, options: { signal: AbortSignal }): AsyncIterable<Uint8Array>;

  /** Content of the client's stores (`oci-layout://`, exports of caches). Throws `not-found`. */
  readContent(store: string, digest: string, options: { signal: AbortSignal }): AsyncIterable<Uint8Array>;
  hasContent(store: string, digest: string, options: { signal: AbortSignal }): Promise<boolean>;
  /** Puts something into one of the client's stores; what is there already is not sent. */
  writeContent(
    store: string,
    descriptor: { readonly digest: string; readonly size: number },
    content: () => AsyncIterable<Uint8Array>,
    options: { signal: AbortSignal },
  ): Promise<void>;
}

export type SessionService =
  | 'directory'
  | 'credentials'
  | 'token'
  | 'secret'
  | 'agent'
  | 'send-file'
  | 'send-directory'
  | 'upload'
  | 'content';

export interface Credentials {
  readonly username: string;
  /** A password; a refresh token when `username` is empty. */
  readonly secret: string;
}

export interface DirectoryRequest {
  /** `context`, `dockerfile`, or what `--local` named. */
  readonly name: string;
  /** Another session of the client's that has it, by its id. */
  readonly session?: string;
  /** As of moby/patternmatcher and fsutil. */
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  readonly followPaths: readonly string[];
  /** Directories with the same hint and name may build on each other's files. */
  readonly sharedKeyHint?: string;
  /** All contents are sent, also of files that look as they did. */
  readonly everything?: boolean;
  /** Told of the transfer, as of `vertex`. */
  readonly progress?: { readonly vertex: string; readonly sink: Pick<ProgressSink, 'status'> };
}

/** It stays as it is until it is disposed of; afterwards its files may serve the next build. */
export interface SyncedDirectory extends AsyncDisposable {
  readonly root: string;
  /** Changes with its contents. */
  readonly id: string;
  /** How it has come to be what it is, if that is known. */
  readonly changes?: TreeChanges | undefined;
  /** It goes when it is disposed of. */
  readonly passing?: boolean;
}

export interface AgentOptions {
  /** Where to put the socket; the directory exists. */
  readonly directory: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly signal: AbortSignal;
}

/** Files that are handed over, by themselves or with those of other trees. */
export interface ExportedTree {
  readonly root: string;
  /** For people. */
  readonly name: string;
}

export interface FileTarget extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when the client has it all. Disposed of without: the client is told that it is not whole. */
  finish(): Promise<void>;
}
