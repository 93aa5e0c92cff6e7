import { posix } from 'node:path';
import { SlipwayError } from '#errors/errors.ts';
import { isDigest } from '#oci/digest.ts';
import { DockerfileError } from '../../dockerfile/dockerfile-error.ts';
import type { CopyInstruction } from '../../dockerfile/instructions.ts';
import type { Draft } from '../graph/draft.ts';
import type { PlannedAction } from '../graph/file-draft.ts';
import { gitEdge, httpEdge } from '../graph/sources.ts';
import { type GitReference, readGitReference } from '../inputs/git-reference.ts';
import type { Compilation } from './compilation.ts';
import type { CopyShape } from './copy-actions.ts';

const UNNAMED = '__unnamed__';

/** Whether a source of ADD is a repository; `github.com/x/y` is a path there. Throws `DockerfileError`. */
export function gitSourceOf(source: string): GitReference | undefined {
  try {
    const git = readGitReference(source);
    return git?.likePath ? undefined : git;
  } catch (error) {
    throw error instanceof SlipwayError ? new DockerfileError(error.message) : error;
  }
}

export function isHttpSource(source: string): boolean {
  return /^https?:\/\//.test(source) && !gitSourceOf(source);
}

export function isRemoteSource(source: string): boolean {
  return /^https?:\/\//.test(source) || gitSourceOf(source) !== undefined;
}

/** A source that is downloaded; undefined for one that is not. Throws `DockerfileError`. */
export function remoteAction(
  compilation: Compilation,
  copy: CopyInstruction,
  source: string,
  { shape, name }: { shape: CopyShape; name: string },
): PlannedAction | undefined {
  const git = gitSourceOf(source);
  if (!git && !isHttpSource(source)) return undefined;
  if (copy.name !== 'ADD') {
    throw new DockerfileError(git ? "source can't be a git ref for COPY" : "source can't be a URL for COPY");
  }
  if (git) {
    return { ...download(shape), from: repository(compilation, copy, git, name), src: '/', unpack: false };
  }
  const filename = filenameOf(source);
  const { checksum } = copy;
  if (checksum && !isDigest(checksum))
    throw new DockerfileError(`invalid checksum digest format: ${checksum}`);
  const from = compilation.drafts.add(() =>
    httpEdge(source, { filename, ...(checksum && { checksum }), metadata: { name } }),
  );
  // What comes from a URL is an archive only for those who say so.
  return { ...download(shape), from, src: `/${filename}`, unpack: copy.unpack ?? false };
}

function repository(compilation: Compilation, copy: CopyInstruction, git: GitReference, name: string): Draft {
  const { keepGitDir, checksum } = copy;
  if (keepGitDir !== undefined && git.keepGitDir !== undefined && keepGitDir !== git.keepGitDir) {
    throw new DockerfileError('inconsistent keep-git-dir configuration');
  }
  if (checksum && git.checksum && checksum !== git.checksum) {
    throw new DockerfileError(
      `checksum mismatch ${JSON.stringify(checksum)} != ${JSON.stringify(git.checksum)}`,
    );
  }
  const keeps = git.keepGitDir ?? keepGitDir;
  return compilation.drafts.add(() =>
    gitEdge(git, {
      ...(keeps && { keepGitDir: true }),
      ...(checksum && { checksum }),
      metadata: { name },
    }),
  );
}

function download(shape: CopyShape) {
  return {
    type: 'copy',
    ...shape,
    followSymlink: false,
    dirCopyContents: false,
    createDestPath: true,
    allowWildcard: false,
    allowEmptyWildcard: false,
  } as const;
}

/** What a download is called. */
export function filenameOf(source: string): string {
  if (!URL.canParse(source)) return UNNAMED;
  const { pathname } = new URL(source);
  let path = pathname;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    // A name with a stray `%` stands for itself.
  }
  return posix.basename(path) || UNNAMED;
}
