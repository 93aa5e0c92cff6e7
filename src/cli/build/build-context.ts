import { createHash, randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { looksLikeArchive } from '#worker/build/frontend/inputs/archive-magic.ts';
import { readGitReference } from '#worker/build/frontend/inputs/git-reference.ts';
import { Refusal } from '../refusal.ts';

/** Where a build's files are: frontend options, and the directories that they name. */
export interface BuildContext extends AsyncDisposable {
  readonly options: Readonly<Record<string, string>>;
  readonly directories: ReadonlyMap<string, string>;
  /** What the worker fetches from `http://buildkit-session/…`. */
  readonly uploads: ReadonlyMap<string, () => Promise<AsyncIterable<Uint8Array>>>;
  /** The same for builds of the same directory. */
  readonly sharedKey: string;
}

interface ContextRequest {
  /** A directory, the URL of a git repository or of an archive; `-`: standard input, an archive or a Dockerfile. */
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
  if (request.context === '-') return contextFromInput(request);
  const { context, file } = request;
  await using opened = new AsyncDisposableStack();
  const directories = new Map<string, string>();
  const options: Record<string, string> = {};
  const remote = isRemote(context);
  if (remote) options.context = context;
  else directories.set('context', directoryAt(context));
  if (file === '-') {
    const folder = opened.use(await dockerfileFolder(await readAll(request.stdin)));
    if (remote) options.dockerfilekey = 'dockerfile';
    directories.set('dockerfile', folder.path);
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
    uploads: new Map(),
    sharedKey: remote ? context : keyOf(resolve(context)),
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

/** An archive is a context, in which the Dockerfile is; anything else is a Dockerfile that needs none. */
async function contextFromInput({ file, named, stdin }: ContextRequest): Promise<BuildContext> {
  if (file === '-')
    throw new Refusal('standard input is either the context or the Dockerfile', { exitCode: 2 });
  const source = stdin[Symbol.asyncIterator]();
  const head = await firstBytes(source);
  const options: Record<string, string> = {};
  const directories = new Map<string, string>();
  const uploads: Map<string, () => Promise<AsyncIterable<Uint8Array>>> = new Map();
  await using opened = new AsyncDisposableStack();
  if (looksLikeArchive(head)) {
    uploads.set('/context', async () => withHead(head, source));
    options.context = 'http://buildkit-session/context';
    if (file !== undefined) options.filename = file;
  } else {
    if (file !== undefined) throw missing('the Dockerfile is standard input: there is no other');
    const folder = opened.use(await dockerfileFolder(await readAll(withHead(head, source))));
    for (const name of ['context', 'dockerfile']) directories.set(name, folder.path);
  }
  for (const text of named) addNamed(text, options, directories);
  const cleanup = opened.move();
  const sharedKey = randomUUID();
  return { options, directories, uploads, sharedKey, [Symbol.asyncDispose]: () => cleanup.disposeAsync() };
}

/** Enough to see what it is. */
const HEAD_BYTES = 512;

async function firstBytes(source: AsyncIterator<Uint8Array>): Promise<Buffer> {
  let head = Buffer.alloc(0);
  while (head.length < HEAD_BYTES) {
    const { done, value } = await source.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  return head;
}

async function* withHead(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head;
  yield* { [Symbol.asyncIterator]: () => rest };
}

/** A directory with a Dockerfile alone; gone when it is disposed of. */
async function dockerfileFolder(text: Uint8Array): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'slipway-dockerfile-'));
  await writeFile(join(path, DOCKERFILE), text);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

function isRemote(context: string): boolean {
  if (/^https?:\/\//i.test(context)) return true;
  return !existsSync(context) && readGitReference(context) !== undefined;
}

function directoryAt(path: string): string {
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
