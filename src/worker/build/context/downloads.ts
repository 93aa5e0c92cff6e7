import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rename, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { invalid, messageOf, SlipwayError, tooLarge, unavailable } from '#errors/errors.ts';

/** What builds fetch over HTTP: ADD's URLs. Files are kept in the build's directory and go with it. */
export class Downloads {
  readonly #options: { readonly directory: string; readonly maxBytes: number; readonly signal: AbortSignal };

  constructor(options: { directory: string; maxBytes: number; signal: AbortSignal }) {
    this.#options = options;
  }

  /**
   * Fetches one file into a directory of its own, named as ADD names it and dated as its server says. Throws
   * `invalid` (no such file, wrong checksum, no name), `too-large`, `unavailable`.
   */
  async file(url: string, checksum?: string): Promise<{ directory: string; name: string }> {
    await mkdir(this.#options.directory, { recursive: true });
    const directory = await mkdtemp(join(this.#options.directory, 'download-'));
    const response = await this.open(url);
    const name = fileName(response, url);
    const part = join(directory, '.part');
    const digest = await this.#write(response, part);
    if (checksum !== undefined && checksum !== `sha256:${digest}`) {
      throw invalid(`digest mismatch for ${url}: sha256:${digest} (expected: ${checksum})`);
    }
    const modified = Date.parse(response.headers.get('last-modified') ?? '');
    const time = Number.isNaN(modified) ? 0 : modified / 1000;
    await utimes(part, time, time);
    await rename(part, join(directory, name));
    return { directory, name };
  }

  /** A response with status 2xx, its body unread. */
  async open(url: string): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(url, { signal: this.#options.signal });
    } catch (cause) {
      this.#options.signal.throwIfAborted();
      throw unavailable(`cannot get ${url}: ${messageOf((cause as Error).cause ?? cause)}`, { cause });
    }
    if (response.ok) return response;
    await response.body?.cancel();
    throw invalid(`failed to GET ${url} with status ${response.status} ${response.statusText}`.trimEnd());
  }

  async #write(response: Response, file: string): Promise<string> {
    const hash = createHash('sha256');
    let size = 0;
    const { maxBytes, signal } = this.#options;
    const measure = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        hash.update(chunk);
        done(size > maxBytes ? tooLarge(`${response.url} is larger than ${maxBytes} bytes`) : null, chunk);
      },
    });
    try {
      const body = response.body ? Readable.fromWeb(response.body as never) : Readable.from([]);
      await pipeline(body, measure, createWriteStream(file, { mode: 0o600 }), { signal });
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof SlipwayError) throw cause;
      throw unavailable(`cannot read ${response.url}: ${messageOf(cause)}`, { cause });
    }
    return hash.digest('hex');
  }
}

/** The last component of the URL's path, else what Content-Disposition says. Throws `invalid` for neither. */
function fileName(response: Response, url: string): string {
  const fromPath = decodeURIComponent(new URL(url).pathname.split('/').at(-1) ?? '');
  const disposition = response.headers.get('content-disposition') ?? '';
  const name = fromPath || (/filename="?([^";]+)"?/i.exec(disposition)?.[1] ?? '');
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
    throw invalid(`cannot determine filename for source ${url}`);
  }
  return name;
}
