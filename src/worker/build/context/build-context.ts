import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { invalid, unsupported } from '#errors/errors.ts';
import type { BuildRequest } from '../build-request.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import type { FileWorker } from '../files/file-worker.ts';
import type { Downloads } from './downloads.ts';
import { spool } from './spool.ts';

export interface ContextLimits {
  readonly maxBytes: number;
  readonly maxEntries: number;
}

const MAX_DOCKERFILE_BYTES = 4 * 1024 * 1024;
const MAX_IGNORE_BYTES = 1024 * 1024;

export interface ContextOptions extends ContextLimits {
  /** The build's own directory. */
  readonly directory: string;
  readonly signal: AbortSignal;
}

/**
 * Receives a build's context into one file and opens it on the build's thread, without what its ignore file
 * excludes. Answers the Dockerfile's text.
 */
export async function openContext(
  request: Pick<BuildRequest, 'context' | 'dockerfile'>,
  ports: { files: FileWorker; downloads: Downloads },
  options: ContextOptions,
): Promise<string> {
  const file = join(options.directory, 'context.tar');
  const source =
    'remote' in request.context
      ? await fetchRemote(request.context.remote, ports.downloads)
      : request.context;
  const size = await spool(source, file, options);
  if ('remote' in request.context && !(await isTar(file))) {
    // A Dockerfile alone: there is nothing to copy from.
    const text = await readText(file, size);
    await rm(file);
    return text;
  }
  await ports.files.call('open', { file, maxEntries: options.maxEntries });
  const text = await readDockerfile(request.dockerfile, ports.files);
  await applyIgnoreFile(request.dockerfile, ports.files);
  return text;
}

async function readDockerfile(path: string, files: FileWorker): Promise<string> {
  const maxBytes = MAX_DOCKERFILE_BYTES;
  const text =
    (await files.call('readText', { path, maxBytes })) ??
    (path === 'Dockerfile' ? await files.call('readText', { path: 'dockerfile', maxBytes }) : undefined);
  if (text === undefined) throw invalid(`Cannot locate specified Dockerfile: ${path}`);
  if (text.trim() === '') throw new DockerfileError(`the Dockerfile (${path}) cannot be empty`);
  return text;
}

/** `<Dockerfile>.dockerignore` goes before `.dockerignore`. */
async function applyIgnoreFile(dockerfile: string, files: FileWorker): Promise<void> {
  for (const path of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const rules = await files.call('readText', { path, maxBytes: MAX_IGNORE_BYTES });
    if (rules === undefined) continue;
    await files.call('exclude', { rules });
    return;
  }
}

async function fetchRemote(url: string, downloads: Downloads): Promise<AsyncIterable<Uint8Array>> {
  if (!/^https?:\/\//i.test(url) || /\.git(?:#|$)/.test(url)) {
    throw unsupported(`a build context from git is not supported yet: ${url}`);
  }
  const { body } = await downloads.open(url);
  return body ? (Readable.fromWeb(body as never) as AsyncIterable<Buffer>) : Readable.from([]);
}

async function isTar(file: string): Promise<boolean> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(512) });
  return bytesRead === 512 && buffer.toString('latin1', 257, 262) === 'ustar';
}

async function readText(file: string, size: number): Promise<string> {
  if (size > MAX_DOCKERFILE_BYTES)
    throw invalid(`the Dockerfile is larger than ${MAX_DOCKERFILE_BYTES} bytes`);
  return (await createReadStream(file, 'utf8').toArray()).join('');
}
