import { isKind, notFound } from '#errors/errors.ts';
import { readIgnoreFile } from '../../context/ignore-file.ts';
import type { SourceInfo } from '../../llb/source-info.ts';
import type { Edge } from '../../llb/vertex.ts';
import type { Ref } from '../../solve/ref.ts';
import type { Bridge, FrontendRequest } from '../frontend.ts';
import { Draft } from '../graph/draft.ts';
import { fileEdge } from '../graph/file-draft.ts';
import { gitEdge, httpEdge, localEdge } from '../graph/sources.ts';
import { readBoolean } from '../options/build-options.ts';
import { joinPath } from '../paths.ts';
import { looksLikeArchive } from './archive-magic.ts';
import { type GitReference, readGitReference } from './git-reference.ts';

const DOCKERFILE = 'Dockerfile';
const IGNORE_FILE = '.dockerignore';
/** Where a client's directories are, unless an option says otherwise. */
const CONTEXT = 'context';

/** The Dockerfile of a build, and what names it in messages. */
export interface DockerfileSource {
  readonly info: SourceInfo;
  readonly text: string;
  /** Where it was read; warnings are about it. */
  readonly vertex: string;
}

interface Remote {
  /** What was asked for, before it was unpacked or made smaller. */
  readonly source?: Edge;
  /** What COPY reads. */
  readonly context?: Edge;
  /** Where the Dockerfile is. */
  readonly dockerfile?: Edge;
  readonly filename?: string;
}

/**
 * Where a build's files come from: directories of the client's, a git repository, an archive or a Dockerfile behind
 * a URL, or graphs that the client gives.
 */
export class MainContext {
  readonly #bridge: Bridge;
  readonly #options: FrontendRequest['options'];
  readonly #remote: Remote;
  readonly #dockerfileName: string;
  readonly filename: string;
  /** Of `<Dockerfile>.dockerignore`, once the Dockerfile was read. */
  #ignoreFile: string | undefined;
  #patterns: Promise<readonly string[]> | undefined;
  /** Of the context's own ignore file. */
  #loaded: Promise<string[]> | undefined;

  private constructor(bridge: Bridge, options: FrontendRequest['options'], remote: Remote) {
    this.#bridge = bridge;
    this.#options = options;
    this.#remote = remote;
    this.#dockerfileName = options.dockerfilekey ?? 'dockerfile';
    this.filename = remote.filename ?? options.filename ?? DOCKERFILE;
  }

  static async open(request: FrontendRequest, bridge: Bridge): Promise<MainContext> {
    const remote = await findRemote(request, bridge);
    return new MainContext(bridge, request.options, remote);
  }

  /** The repository or the download that the context is; undefined for the client's own files. */
  get remoteSource(): Edge | undefined {
    return this.#remote.source;
  }

  /** Throws `not-found`. */
  async readDockerfile(): Promise<DockerfileSource> {
    const edge = this.#remote.dockerfile ?? this.#localDockerfile();
    const ref = await this.#bridge.solve(edge);
    const data = await this.#readDockerfile(ref);
    const ignoreFile = await readIfThere(this.#bridge, ref, `${this.filename}${IGNORE_FILE}`);
    this.#ignoreFile = ignoreFile && decode(ignoreFile);
    return {
      info: { filename: this.filename, data, language: 'Dockerfile', edge },
      text: decode(data),
      vertex: edge.vertex.digest,
    };
  }

  /** The ignore patterns will be asked for: they come beside the Dockerfile, unless that turns out to have its own. */
  expectIgnorePatterns(): void {
    if (!this.#remote.context) this.#loadIgnoreFile().catch(() => undefined);
  }

  /** What the client keeps to itself. None for a context that is not the client's. */
  ignorePatterns(): Promise<readonly string[]> {
    this.#patterns ??= this.#readIgnorePatterns();
    return this.#patterns;
  }

  /** `followPaths`: what of it is used; undefined: all of it. */
  edge(patterns: readonly string[], followPaths: readonly string[] | undefined): Edge {
    if (this.#remote.context) return this.#remote.context;
    return localEdge(
      {
        name: CONTEXT,
        session: this.#sessionOf(CONTEXT),
        excludePatterns: patterns,
        ...(followPaths && { followPaths }),
        sharedKeyHint: CONTEXT,
      },
      { name: '[internal] load build context' },
    );
  }

  #localDockerfile(): Edge {
    const { filename } = this;
    const lowerCase = isNamedDockerfile(filename) ? [lowerCaseSibling(filename)] : [];
    return localEdge(
      {
        name: this.#dockerfileName,
        session: this.#sessionOf(this.#dockerfileName),
        followPaths: [filename, `${filename}${IGNORE_FILE}`, ...lowerCase],
        sharedKeyHint: this.#dockerfileName,
        differ: 'none',
      },
      { name: `[internal] load build definition from ${filename}` },
    );
  }

  #sessionOf(directory: string): string {
    return localSession(this.#options, this.#bridge, directory);
  }

  async #readDockerfile(ref: Ref): Promise<Uint8Array> {
    const data = await readIfThere(this.#bridge, ref, this.filename);
    if (data) return data;
    const sibling = isNamedDockerfile(this.filename)
      ? await readIfThere(this.#bridge, ref, lowerCaseSibling(this.filename))
      : undefined;
    if (sibling) return sibling;
    throw notFound(`failed to read dockerfile: open ${this.filename}: no such file or directory`);
  }

  async #readIgnorePatterns(): Promise<readonly string[]> {
    if (this.#remote.context) return [];
    if (this.#ignoreFile !== undefined) return readIgnoreFile(this.#ignoreFile);
    return this.#loadIgnoreFile();
  }

  #loadIgnoreFile(): Promise<string[]> {
    this.#loaded ??= loadIgnoreFile(this.#bridge, {
      directory: CONTEXT,
      session: this.#sessionOf(CONTEXT),
      sharedKeyHint: `${CONTEXT}-${IGNORE_FILE}`,
      name: `[internal] load ${IGNORE_FILE}`,
    });
    return this.#loaded;
  }
}

/** The session that a client says one of its directories is in: not always that of the build. */
export function localSession(
  options: FrontendRequest['options'],
  { session }: Pick<Bridge, 'session'>,
  directory: string,
): string {
  return options[`local-sessionid:${directory}`] || session.id;
}

/** Patterns of the ignore file at the top of one of the client's directories; none where there is no directory. */
export async function loadIgnoreFile(
  bridge: Bridge,
  wanted: { directory: string; session: string; sharedKeyHint: string; name: string },
): Promise<string[]> {
  const { directory, session, sharedKeyHint, name } = wanted;
  const edge = localEdge(
    {
      name: directory,
      session,
      followPaths: [IGNORE_FILE],
      sharedKeyHint,
      differ: 'none',
    },
    { name },
  );
  const data = await unlessAbsent(async () => bridge.readFile(await bridge.solve(edge), IGNORE_FILE)).catch(
    (error: unknown) => {
      // Who needs files of it, hears that there are none.
      if (isKind(error, 'unsupported')) return undefined;
      throw error;
    },
  );
  return data ? readIgnoreFile(decode(data)) : [];
}

async function findRemote({ options, inputs }: FrontendRequest, bridge: Bridge): Promise<Remote> {
  const { source, context, dockerfile, filename } = await findContext(options, inputs, bridge);
  const subdirectory = options.contextsubdir;
  return {
    ...(source && { source }),
    ...(context && { context: subdirectory === undefined ? context : scopedTo(context, subdirectory) }),
    // A client that names a directory of its own for the Dockerfile means that one.
    ...(dockerfile && options.dockerfilekey === undefined && { dockerfile }),
    ...(filename && { filename }),
  };
}

async function findContext(
  options: FrontendRequest['options'],
  inputs: FrontendRequest['inputs'],
  bridge: Bridge,
): Promise<Remote> {
  const url = options[options.contextkey ?? CONTEXT] ?? '';
  const git = readGitReference(url);
  if (git) {
    const edge = gitContext(git, url, options);
    return { source: edge, context: edge, dockerfile: edge };
  }
  if (/^https?:\/\//.test(url)) return downloaded(url, bridge);
  return {
    ...(inputs.context && { context: inputs.context }),
    ...(inputs.dockerfile && { dockerfile: inputs.dockerfile }),
  };
}

function gitContext(git: GitReference, url: string, options: FrontendRequest['options']): Edge {
  const asked = options['build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR'];
  const keepGitDir = git.keepGitDir || (asked ? readBoolean('BUILDKIT_CONTEXT_KEEP_GIT_DIR', asked) : false);
  return gitEdge(git, {
    keepGitDir,
    ...(options['build-arg:SOURCE_DATE_EPOCH'] && { mtime: 'commit' }),
    metadata: { name: `[internal] load git source ${url}` },
  });
}

/** An archive is a context; anything else a Dockerfile. */
async function downloaded(url: string, bridge: Bridge): Promise<Remote> {
  const edge = httpEdge(url, {
    filename: CONTEXT,
    metadata: { name: '[internal] load remote build context' },
  });
  const ref = await bridge.solve(edge);
  const head = await bridge.readFile(ref, CONTEXT, { offset: 0, length: 1024 });
  if (!looksLikeArchive(head)) return { source: edge, context: edge, dockerfile: edge, filename: CONTEXT };
  const unpacked = fileEdge(
    undefined,
    [{ ...COPY, from: new Draft(() => edge), src: `/${CONTEXT}`, dest: '/', unpack: true }],
    { name: `copy /${CONTEXT} /` },
  );
  return { source: edge, context: unpacked, dockerfile: unpacked };
}

function scopedTo(context: Edge, directory: string): Edge {
  return fileEdge(
    undefined,
    [
      {
        ...COPY,
        from: new Draft(() => context),
        src: joinPath('/', directory),
        dest: '/',
        dirCopyContents: true,
      },
    ],
    { name: `copy ${directory} /` },
  );
}

const COPY = {
  type: 'copy',
  followSymlink: false,
  dirCopyContents: false,
  unpack: false,
  createDestPath: false,
  allowWildcard: false,
  allowEmptyWildcard: false,
} as const;

function readIfThere(bridge: Bridge, ref: Ref, path: string): Promise<Uint8Array | undefined> {
  return unlessAbsent(() => bridge.readFile(ref, path));
}

async function unlessAbsent<T>(task: () => Promise<T>): Promise<T | undefined> {
  try {
    return await task();
  } catch (error) {
    if (isKind(error, 'not-found')) return undefined;
    throw error;
  }
}

function isNamedDockerfile(filename: string): boolean {
  return filename === DOCKERFILE || filename.endsWith(`/${DOCKERFILE}`);
}

function lowerCaseSibling(filename: string): string {
  return filename.slice(0, -DOCKERFILE.length) + DOCKERFILE.toLowerCase();
}

function decode(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}
