import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { KeyedLock } from '#async/keyed-lock.ts';
import { invalid, isKind, messageOf, SlipwayError, tooLarge, unavailable } from '#errors/errors.ts';
import type { BuildSession } from '../../session/build-session.ts';
import type { AddressPolicy } from './address-policy.ts';
import { bodyOf, type GetOptions, type HttpAnswer, httpGet, shown } from './http-get.ts';

export interface HttpFileRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** In place of what the server or the URL calls it. */
  readonly filename: string | undefined;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** What it has to be: `sha256:…`. */
  readonly checksum: string | undefined;
  /** In place of a server: it gives the file once. */
  readonly upload?: (options: { signal: AbortSignal }) => AsyncIterable<Uint8Array>;
}

export interface HttpFile {
  /** Holds the file and nothing else. */
  readonly directory: string;
  readonly filename: string;
  readonly digest: string;
  /** As the server said. */
  readonly lastModified: string | undefined;
}

interface Entry extends HttpFile {
  readonly etag: string | undefined;
  readonly bytes: number;
}

/**
 * What was downloaded, kept to be asked for again with its ETag. A request has a directory, in which its newest
 * version has one:
 *
 *     <request>/entry.json
 *     <request>/<digest>/<filename>
 */
export class HttpFiles {
  readonly #root: string;
  readonly #options: {
    readonly policy: AddressPolicy;
    readonly maxBytes: number;
    readonly keepBytes: number;
  };
  readonly #locks = new KeyedLock();
  readonly #used = new Map<string, number>();
  /** What each session has been given, which stays the same for it. */
  readonly #given = new WeakMap<BuildSession, Map<string, string>>();

  /** Beyond `keepBytes` the least recently used go; no file may have more than `maxBytes`. */
  constructor(root: string, options: { policy: AddressPolicy; maxBytes: number; keepBytes: number }) {
    this.#root = root;
    this.#options = options;
  }

  /** The file stays until it is disposed of. Throws as `httpGet`, `invalid` for a wrong checksum, `too-large`. */
  async get(
    request: HttpFileRequest,
    { signal, session }: { signal: AbortSignal; session: BuildSession },
  ): Promise<HttpFile & AsyncDisposable> {
    const place = join(this.#root, keyOf(request));
    const given = this.#givenTo(session);
    const found = await this.#locks.run(place, async () => {
      const known = await readEntry(place);
      const wanted = request.checksum ?? given.get(place);
      const entry =
        known && known.digest === wanted
          ? await touched(place, known)
          : await this.#ask(place, request, known, signal);
      given.set(place, entry.digest);
      this.#used.set(place, (this.#used.get(place) ?? 0) + 1);
      return entry;
    });
    return { ...found, [Symbol.asyncDispose]: () => this.#release(place) };
  }

  #givenTo(session: BuildSession): Map<string, string> {
    const given = this.#given.get(session) ?? new Map<string, string>();
    this.#given.set(session, given);
    return given;
  }

  async #ask(
    place: string,
    request: HttpFileRequest,
    known: Entry | undefined,
    signal: AbortSignal,
  ): Promise<Entry> {
    if (request.upload) {
      const body = Readable.from(request.upload({ signal }), { objectMode: false });
      const response = Object.assign(body, { headers: {} });
      return this.#save(place, request, { url: new URL(request.url), response }, signal);
    }
    const etag = request.checksum === undefined ? known?.etag : undefined;
    const conditional: Record<string, string> = etag ? { 'if-none-match': etag } : {};
    const headers = { ...request.headers, ...conditional };
    const options = { headers, policy: this.#options.policy, signal };
    if (known && etag && (await hasEtag(etag, request.url, options))) return touched(place, known);
    const answer = await httpGet(request.url, options);
    if (answer.response.statusCode === 304 && known) {
      answer.response.destroy();
      return touched(place, known);
    }
    return this.#save(place, request, answer, signal);
  }

  async #save(
    place: string,
    request: HttpFileRequest,
    { url, response }: HttpAnswer,
    signal: AbortSignal,
  ): Promise<Entry> {
    await mkdir(place, { recursive: true, mode: 0o700 });
    const part = join(place, 'part');
    const hash = createHash('sha256');
    let bytes = 0;
    const { maxBytes } = this.#options;
    const measured = async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw tooLarge(`${shown(url)} is larger than ${maxBytes} bytes`);
        hash.update(chunk);
        yield chunk;
      }
    };
    try {
      await pipeline(bodyOf(response), measured, createWriteStream(part, { mode: 0o600 }), { signal });
    } catch (cause) {
      await rm(part, { force: true });
      if (signal.aborted) throw signal.reason;
      if (cause instanceof SlipwayError) throw cause;
      throw unavailable(`cannot read ${shown(url)}: ${messageOf(cause)}`, { cause });
    }
    const digest = `sha256:${hash.digest('hex')}`;
    if (request.checksum !== undefined && digest !== request.checksum) {
      await rm(part, { force: true });
      throw invalid(`digest mismatch ${digest}: ${request.checksum}`);
    }
    const { etag, 'last-modified': lastModified } = response.headers;
    const filename = nameOf(request, response.headers['content-disposition']);
    const directory = join(place, digest.slice('sha256:'.length));
    const entry: Entry = { directory, filename, digest, lastModified, etag, bytes };
    await this.#publish(part, entry, request);
    await writeFile(join(place, 'entry.new'), JSON.stringify(entry));
    await rename(join(place, 'entry.new'), join(place, 'entry.json'));
    return entry;
  }

  async #publish(part: string, entry: Entry, { uid, gid, mode }: HttpFileRequest): Promise<void> {
    await chown(part, uid, gid);
    await chmod(part, mode);
    const modified = Date.parse(entry.lastModified ?? '');
    const time = Number.isNaN(modified) ? 0 : modified / 1000;
    await utimes(part, time, time);
    // What a running build has stays; only what is new is put beside it.
    if (await isThere(entry)) return rm(part);
    await rm(entry.directory, { recursive: true, force: true });
    await mkdir(entry.directory, { mode: 0o755 });
    await rename(part, join(entry.directory, entry.filename));
  }

  async #release(place: string): Promise<void> {
    await this.#locks.run(place, async () => {
      const left = (this.#used.get(place) ?? 1) - 1;
      if (left > 0) {
        this.#used.set(place, left);
        return;
      }
      this.#used.delete(place);
      await removeOlder(place);
    });
    await this.#trim();
  }

  async #trim(): Promise<void> {
    const places = (await readdir(this.#root).catch(() => [])).map((name) => join(this.#root, name));
    const entries = await Promise.all(
      places.map(async (place) => ({
        place,
        bytes: (await readEntry(place))?.bytes ?? 0,
        at: (await stat(join(place, 'entry.json')).catch(() => undefined))?.mtimeMs ?? 0,
      })),
    );
    let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { place, bytes } of entries.sort((a, b) => a.at - b.at)) {
      if (total <= this.#options.keepBytes) return;
      const removed = await this.#locks.run(place, async () => {
        if (this.#used.has(place)) return false;
        await rm(place, { recursive: true, force: true });
        return true;
      });
      if (removed) total -= bytes;
    }
  }
}

/** Some servers know their ETags and no conditions: they are asked for the ETag alone. */
async function hasEtag(etag: string, url: string, options: GetOptions): Promise<boolean> {
  try {
    const { response } = await httpGet(url, { ...options, method: 'HEAD' });
    response.destroy();
    const now = response.headers.etag;
    if (now === undefined) return response.statusCode === 304;
    return now.replace(/^W\//, '') === etag.replace(/^W\//, '');
  } catch (error) {
    if (options.signal.aborted || isKind(error, 'forbidden')) throw error;
    return false;
  }
}

function keyOf({ url, headers, filename, mode, uid, gid }: HttpFileRequest): string {
  const text = JSON.stringify([url, Object.entries(headers).sort(), filename ?? null, mode, uid, gid]);
  return createHash('sha256').update(text).digest('hex');
}

async function readEntry(place: string): Promise<Entry | undefined> {
  try {
    const entry = JSON.parse(await readFile(join(place, 'entry.json'), 'utf8')) as Entry;
    return (await isThere(entry)) ? entry : undefined;
  } catch {
    return undefined;
  }
}

async function isThere({ directory, filename }: Entry): Promise<boolean> {
  return (await stat(join(directory, filename)).catch(() => undefined)) !== undefined;
}

async function touched(place: string, entry: Entry): Promise<Entry> {
  const now = new Date();
  await utimes(join(place, 'entry.json'), now, now);
  return entry;
}

async function removeOlder(place: string): Promise<void> {
  const current = await readEntry(place);
  for (const name of await readdir(place).catch(() => [])) {
    const directory = join(place, name);
    if (/^[0-9a-f]{64}$/.test(name) && directory !== current?.directory) {
      await rm(directory, { recursive: true, force: true });
    }
  }
}

/** What was asked for, what the server says, the last component of the URL's path. */
function nameOf({ url, filename }: HttpFileRequest, disposition = ''): string {
  const said = /filename="?([^";]+)"?/i.exec(disposition)?.[1];
  const last = new URL(url).pathname.split('/').at(-1) ?? '';
  for (const name of [filename, said, decoded(last)]) {
    if (name && name !== '.' && name !== '..' && !/[/\0]/.test(name) && Buffer.byteLength(name) < 256)
      return name;
  }
  return 'download';
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
