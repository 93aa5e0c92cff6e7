import { randomUUID } from 'node:crypto';
import type { Router } from '@koa/router';
import type { Context } from 'koa';
import { SlipwayError } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { Blob, Blobs } from '../blobs/blobs.ts';
import { type ByteRange, parseByteRanges } from './byte-ranges.ts';
import { digestIn, endpoint, repositoryOf } from './parameters.ts';
import { sendContent } from './send-content.ts';
import { sendEmpty } from './send-empty.ts';

const TYPE = 'application/octet-stream';
const BLOB = endpoint('/blobs/([^/]+)');

/** OCI distribution-spec, "Pulling blobs" and "Deleting Blobs". */
export function blobRoutes(router: Router, { blobs }: { blobs: Blobs }): void {
  router.get(BLOB, async (ctx) => {
    const [repository, digest] = [repositoryOf(ctx), digestIn(ctx)];
    const blob = await blobs.get(repository, digest);
    const { res } = ctx;
    res.setHeader('Docker-Content-Digest', digest);
    res.setHeader('ETag', `"${digest}"`);
    res.setHeader('Accept-Ranges', 'bytes');
    // What a digest names never changes; who may see it can.
    res.setHeader('Cache-Control', 'private, max-age=31536000');
    res.setHeader('X-Content-Type-Options', 'nosniff');
    if (matches(ctx.get('If-None-Match'), digest)) {
      ctx.status = 304;
      return;
    }
    await answer(ctx, blob, digest);
  });

  router.delete(BLOB, async (ctx) => {
    await blobs.delete(repositoryOf(ctx), digestIn(ctx));
    sendEmpty(ctx, 202);
  });
}

async function answer(ctx: Context, blob: Blob, digest: Digest): Promise<void> {
  const ranges =
    ctx.method === 'GET' && mayRange(ctx, digest)
      ? parseByteRanges(ctx.get('Range') || undefined, blob.size)
      : undefined;
  if (ranges === undefined) return await sendWhole(ctx, blob);
  const [range, ...others] = ranges;
  if (!range) {
    ctx.set('Content-Range', `bytes */${blob.size}`);
    throw new SlipwayError('range', 'requested range not satisfiable', {
      code: 'SIZE_INVALID',
      detail: { size: blob.size },
    });
  }
  // Ranges that add up to more than the whole are a way to make a server work, not to read a blob.
  if (total(ranges) > blob.size) return await sendWhole(ctx, blob);
  return others.length === 0 ? await sendRange(ctx, blob, range) : await sendRanges(ctx, blob, ranges);
}

async function sendWhole(ctx: Context, blob: Blob): Promise<void> {
  ctx.res.setHeader('Content-Type', TYPE);
  ctx.res.setHeader('Content-Length', blob.size);
  ctx.status = 200;
  ctx.respond = false;
  if (ctx.method !== 'HEAD') await sendContent(ctx.res, await blob.open());
  ctx.res.end();
}

async function sendRange(ctx: Context, blob: Blob, range: ByteRange): Promise<void> {
  ctx.res.setHeader('Content-Type', TYPE);
  ctx.res.setHeader('Content-Range', contentRange(range, blob.size));
  ctx.res.setHeader('Content-Length', length(range));
  ctx.status = 206;
  ctx.respond = false;
  await sendContent(ctx.res, await blob.open(range));
  ctx.res.end();
}

/** RFC 9110, 14.6: each range as a part of its own. */
async function sendRanges(ctx: Context, blob: Blob, ranges: readonly ByteRange[]): Promise<void> {
  const boundary = randomUUID();
  const end = `\r\n--${boundary}--\r\n`;
  const parts = ranges.map((range) => ({
    range,
    head: `\r\n--${boundary}\r\nContent-Type: ${TYPE}\r\nContent-Range: ${contentRange(range, blob.size)}\r\n\r\n`,
  }));
  const size = parts.reduce((sum, part) => sum + part.head.length + length(part.range), end.length);
  ctx.res.setHeader('Content-Type', `multipart/byteranges; boundary=${boundary}`);
  ctx.res.setHeader('Content-Length', size);
  ctx.status = 206;
  ctx.respond = false;
  for (const { head, range } of parts) {
    ctx.res.write(head);
    await sendContent(ctx.res, await blob.open(range));
  }
  ctx.res.end(end);
}

/** A range of another version than the one the client has is of no use to it (RFC 9110, 13.1.5). */
function mayRange(ctx: Context, digest: Digest): boolean {
  const condition = ctx.get('If-Range');
  return condition === '' || condition === `"${digest}"`;
}

/** Whether an `If-None-Match` names this digest. */
export function matches(header: string, digest: Digest): boolean {
  return header !== '' && (header === '*' || header.includes(`"${digest}"`));
}

function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end}/${size}`;
}

function length({ start, end }: ByteRange): number {
  return end - start + 1;
}

function total(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, range) => sum + length(range), 0);
}
