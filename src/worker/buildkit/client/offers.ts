import type { Credentials } from '#worker/build/session/build-session.ts';

/** What a client of a build has that the build may ask for. */
export interface Offers {
  /** Its directories, by name: `context`, `dockerfile`. Absolute. */
  readonly directories: ReadonlyMap<string, string>;
  /** Tells directories of one name apart, so that what was sent of one is found again. */
  readonly sharedKey: string;
  /** For a registry's host; undefined: none. */
  credentials(host: string): Promise<Credentials | undefined>;
  /** By id. They are read when they are asked for. */
  readonly secrets: ReadonlyMap<string, () => Promise<Uint8Array>>;
  /** Sockets of ssh agents, by id. */
  readonly agents: ReadonlyMap<string, string>;
  /** Where results go, by exporter. All of them take files, or all of them directories. */
  readonly outputs: ReadonlyMap<number, Output>;
  /** What is found at `http://buildkit-session/…`, by its path. */
  readonly uploads?: ReadonlyMap<string, () => Promise<AsyncIterable<Uint8Array>>>;
}

export type Output =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'file'; readonly open: () => Promise<FileOutput> };

/** Takes one file. Disposed of without `finish`, it leaves nothing. */
export interface FileOutput extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  finish(): Promise<void>;
}
