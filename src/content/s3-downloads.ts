import type { Readable } from 'node:stream';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { ResponseHead } from './response-head.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { S3Connections } from './s3-connections.ts';
import type { S3Settings } from './s3-settings.ts';

/** How long a store that wants more than a signature is asked through AWS's library alone, in milliseconds. */
const RETREAT = 60_000;

interface Asked {
  readonly range?: { start: number; end: number } | undefined;
  readonly etag?: string | undefined;
}

/** An object's bytes on their way; the caller reads or destroys `body`. A chunk is good until the next one is asked for. */
export interface S3Download {
  readonly body: AsyncIterable<Uint8Array> & { destroy(): void };
  /** Of the whole object. */
  readonly size: number;
  readonly etag: string | undefined;
}

interface Place {
  readonly connections: S3Connections;
  /** Of the Host field. */
  readonly host: string;
  readonly hostname: string;
  readonly protocol: string;
  /** Before a key. */
  readonly path: string;
}

/**
 * Gets objects with as little between the store's connection and the consumer as there can be: AWS's library signs the
 * request and is asked itself, by `S3Bucket`, whenever the answer is not simply the object. So refusals, redirects,
 * retries and failures are its business alone.
 */
export class S3Downloads implements Disposable {
  readonly #client: S3Client;
  readonly #bucket: S3Bucket;
  readonly #settings: S3Settings;
  #place: Promise<Place> | undefined;
  #notBefore = 0;

  constructor(options: { client: S3Client; bucket: S3Bucket; settings: S3Settings }) {
    this.#client = options.client;
    this.#bucket = options.bucket;
    this.#settings = options.settings;
  }

  /** `end` is inclusive. With `etag`, fails if the object is another one by now. Throws as `S3Bucket` does. */
  async open(key: string, asked: Asked = {}): Promise<S3Download> {
    const direct = Date.now() < this.#notBefore ? undefined : await this.#direct(key, asked).catch(() => {});
    return direct ?? (await this.#throughLibrary(key, asked));
  }

  [Symbol.dispose](): void {
    this.#place?.then(({ connections }) => connections[Symbol.dispose]()).catch(() => {});
  }

  async #direct(key: string, asked: Asked): Promise<S3Download | undefined> {
    this.#place ??= this.#find();
    const place = await this.#place.catch((error) => {
      this.#place = undefined;
      throw error;
    });
    const request = await this.#request(place, key, asked);
    const connection = await place.connections.take();
    const answer = connection.send(request);
    const head = await answer.head;
    const size = wholeSize(head, asked.range);
    if (size !== undefined) return { body: answer, size, etag: head.fields.get('etag') };
    answer.destroy();
    if ([301, 307, 400, 403].includes(head.status)) this.#notBefore = Date.now() + RETREAT;
    return undefined;
  }

  async #request(place: Place, key: string, { range, etag }: Asked): Promise<string> {
    const path = `${place.path}${key}`;
    const headers = {
      host: place.host,
      ...(range && { range: `bytes=${range.start}-${range.end}` }),
      ...(etag !== undefined && { 'if-match': etag }),
    };
    const signer = await this.#client.config.signer();
    const { protocol, hostname } = place;
    const signed = await signer.sign({ method: 'GET', protocol, hostname, path, query: {}, headers });
    const fields = Object.entries(signed.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    return `GET ${path} HTTP/1.1\r\n${fields.join('')}\r\n`;
  }

  /** Where the library would send requests for objects. */
  async #find(): Promise<Place> {
    const command = new GetObjectCommand({ Bucket: this.#settings.bucket, Key: 'key' });
    const { protocol, host, hostname, port, pathname } = new URL(await getSignedUrl(this.#client, command));
    const { connectTimeout, idleTimeout, maxConnections } = this.#settings;
    const tls = protocol === 'https:';
    const target = {
      tls,
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(port || (tls ? 443 : 80)),
      connectTimeout,
      idleTimeout,
    };
    const path = pathname.slice(0, -'key'.length);
    return { connections: new S3Connections(target, maxConnections), host, hostname, protocol, path };
  }

  async #throughLibrary(key: string, asked: Asked): Promise<S3Download> {
    const { body, ...rest } = await this.#bucket.get(key, asked);
    return { ...rest, body: readable(body) };
  }
}

/** The size of the object that an answer is of; undefined when it is not what was asked for. */
function wholeSize({ status, fields, length }: ResponseHead, range: Asked['range']): number | undefined {
  if (!range) return status === 200 ? length : undefined;
  const [, start, end, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(fields.get('content-range') ?? '') ?? [];
  if (status !== 206 || Number(start) !== range.start || Number(end) > range.end) return undefined;
  return length === Number(end) - Number(start) + 1 ? Number(size) : undefined;
}

function readable(body: Readable): S3Download['body'] {
  // Whoever reads hears of it; nobody may.
  body.on('error', () => {});
  return {
    [Symbol.asyncIterator]: () => body[Symbol.asyncIterator](),
    // One that was read to its end leaves a connection that can be used again.
    destroy: () => {
      if (!body.readableEnded) body.destroy();
    },
  };
}
