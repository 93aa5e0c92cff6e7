import type { Readable } from 'node:stream';
import type { ResponseHead } from './response-head.ts';
import type { S3Bucket } from './s3-bucket.ts';
import type { S3Direct } from './s3-direct.ts';

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

/** Gets objects whose bytes are only passed on. */
export class S3Downloads {
  readonly #direct: S3Direct;
  readonly #bucket: S3Bucket;

  constructor(ports: { direct: S3Direct; bucket: S3Bucket }) {
    this.#direct = ports.direct;
    this.#bucket = ports.bucket;
  }

  /** `end` is inclusive. With `etag`, fails if the object is another one by now. Throws as `S3Bucket` does. */
  async open(key: string, asked: Asked = {}): Promise<S3Download> {
    const { range, etag } = asked;
    const headers = {
      ...(range && { range: `bytes=${range.start}-${range.end}` }),
      ...(etag !== undefined && { 'if-match': etag }),
    };
    const download = await this.#direct.ask({ method: 'GET', key, headers }, (head, body) => {
      const size = wholeSize(head, range);
      return size === undefined ? undefined : { body, size, etag: head.fields.get('etag') };
    });
    return download ?? (await this.#throughLibrary(key, asked));
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
