import type { Platform } from '#oci/platform.ts';
import { type Edge, type VertexMetadata, vertex } from '../../llb/vertex.ts';
import type { GitReference } from '../inputs/git-reference.ts';

/** How the registry is asked for an image that may be here already. */
export type ResolveMode = 'default' | 'pull' | 'local';

/** `reference`: full. */
export function imageEdge(
  reference: string,
  options: { readonly platform: Platform; readonly mode: ResolveMode; readonly metadata: VertexMetadata },
): Edge {
  const attrs: Record<string, string> =
    options.mode === 'default' ? {} : { 'image.resolvemode': options.mode };
  return sourceEdge(`docker-image://${reference}`, attrs, options);
}

/** An image in a content store of the client's. */
export function layoutEdge(
  reference: string,
  options: {
    readonly session: string;
    readonly store: string;
    readonly platform: Platform;
    readonly metadata: VertexMetadata;
  },
): Edge {
  const attrs = { 'oci.session': options.session, 'oci.store': options.store };
  return sourceEdge(`oci-layout://${reference}`, attrs, options);
}

export interface LocalSource {
  /** The client's name for the directory. */
  readonly name: string;
  readonly session: string;
  readonly followPaths?: readonly string[];
  readonly excludePatterns?: readonly string[];
  readonly sharedKeyHint: string;
  /** Send the files whatever was sent before: they are few. */
  readonly differ?: 'none';
}

export function localEdge(source: LocalSource, metadata: VertexMetadata): Edge {
  const { name, session, followPaths, excludePatterns, sharedKeyHint, differ } = source;
  const attrs = {
    'local.session': session,
    ...(excludePatterns?.length && { 'local.excludepatterns': JSON.stringify(excludePatterns) }),
    ...(followPaths?.length && { 'local.followpaths': JSON.stringify(followPaths) }),
    'local.sharedkeyhint': sharedKeyHint,
    ...(differ && { 'local.differ': differ }),
  };
  return sourceEdge(`local://${name}`, attrs, { metadata });
}

export function httpEdge(
  url: string,
  options: { readonly filename: string; readonly checksum?: string; readonly metadata: VertexMetadata },
): Edge {
  const { filename, checksum } = options;
  const attrs = { ...(checksum && { 'http.checksum': checksum }), 'http.filename': filename };
  return sourceEdge(url, attrs, options);
}

export interface GitSourceOptions {
  readonly keepGitDir?: boolean;
  readonly checksum?: string;
  readonly mtime?: string;
  readonly metadata: VertexMetadata;
}

/** `https`, `ssh` … of one repository have one identifier: it is the same repository. */
export function gitEdge(git: GitReference, options: GitSourceOptions): Edge {
  const { remote, host, path, ref = '', subdir, ssh } = git;
  const fragment = ref || subdir ? `#${ref}${subdir ? `:${subdir}` : ''}` : '';
  const checksum = options.checksum ?? git.checksum;
  const mtime = git.mtime ?? options.mtime;
  const attrs = {
    'git.authheadersecret': 'GIT_AUTH_HEADER',
    'git.authtokensecret': 'GIT_AUTH_TOKEN',
    ...(checksum && { 'git.checksum': checksum }),
    ...(git.fetchByCommit && { 'git.fetchbycommit': 'true' }),
    'git.fullurl': remote,
    ...(options.keepGitDir && { 'git.keepgitdir': 'true' }),
    ...(ssh && { 'git.mountsshsock': 'default' }),
    ...(mtime && { 'git.mtime': mtime }),
    ...(git.submodules === false && { 'git.skipsubmodules': 'true' }),
  };
  return sourceEdge(`git://${host}${path}${fragment}`, attrs, options);
}

function sourceEdge(
  identifier: string,
  attrs: Readonly<Record<string, string>>,
  options: { readonly platform?: Platform; readonly metadata: VertexMetadata },
): Edge {
  return { vertex: vertex({ kind: 'source', identifier, attrs }, [], options), output: 0 };
}
