import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { readGitReference } from '#worker/build/frontend/inputs/git-reference.ts';
import { Refusal } from '../refusal.ts';

/** Where a build's files are: frontend options, and the directories that they name. */
export interface BuildContext extends AsyncDisposable {
  readonly options: Readonly<Record<string, string>>;
  readonly directories: ReadonlyMap<string, string>;
  /** The same for builds of the same directory. */
  readonly sharedKey: string;
}

interface ContextRequest {
  /** A directory, or the URL of a git repository or of an archive. */
  readonly context: string;
  /** The Dockerfile: a path, in the repository for a URL; `-`: it comes from standard input. */
  readonly file: string | undefined;
  /** `name=directory`, or `name=` and what a FROM would name. */
  readonly named: readonly string[];
  readonly stdin: AsyncIterable<Uint8Array>;
}

const DOCKERFILE = 'Dockerfile';
const MAX_DOCKERFILE_BYTES = 4 * 1024 * 1024;

/** Throws `Refusal` for what is not there. */
export async function openContext(request: ContextRequest): Promise<BuildContext> {
  const { context, file } = request;
  await using opened = new AsyncDisposableStack();
  const directories = new Map<string, string>();
  const options: Record<string, string> = {};
  const remote = isRemote(context);
  if (remote) options.context = context;
  else directories.set('context', directoryAt(context));
  if (file === '-') {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-dockerfile-'));
    opened.defer(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, DOCKERFILE), await readAll(request.stdin));
    if (remote) options.dockerfilekey = 'dockerfile';
    directories.set('dockerfile', folder);
  } else if (remote) {
    if (file !== undefined) options.filename = file;
  } else {
    const path = resolve(file ?? join(context, DOCKERFILE));
    directories.set('dockerfile', dirname(path));
    options.filename = basename(path);
    // The lower-case name is the frontend's to find.
    if (file !== undefined && !existsSync(path)) throw missing(`no Dockerfile at ${file}`);
  }
  for (const text of request.named) addNamed(text, options, directories);
  const cleanup = opened.move();
  return {
    options,
    directories,
    sharedKey: remote ? context : keyOf(resolve(context)),
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

function isRemote(context: string): boolean {
  if (/^https?:\/\//i.test(context)) return true;
  return !existsSync(context) && readGitReference(context) !== undefined;
}

function directoryAt(path: string): string {
  if (path === '-') throw new Refusal('a context from standard input is not supported', { exitCode: 2 });
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw missing(`${path} is no directory`);
  return resolve(path);
}

/** A directory is sent; all else the worker knows how to find. */
function addNamed(text: string, options: Record<string, string>, directories: Map<string, string>): void {
  const at = text.indexOf('=');
  if (at <= 0) throw new Refusal(`--build-context ${text}: expected NAME=VALUE`, { exitCode: 2 });
  const [name, value] = [text.slice(0, at), text.slice(at + 1)];
  if (/^[a-z-]+:\/\//i.test(value) || readGitReference(value) || value.startsWith('target:')) {
    options[`context:${name}`] = value;
    return;
  }
  directories.set(name, directoryAt(value));
  options[`context:${name}`] = `local:${name}`;
}

async function readAll(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > MAX_DOCKERFILE_BYTES) throw new Refusal('the Dockerfile is larger than 4 MiB');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function keyOf(directory: string): string {
  return createHash('sha256').update(`${hostname()} ${directory}`).digest('hex');
}

function missing(message: string): Refusal {
  return new Refusal(message, { exitCode: 2 });
}
