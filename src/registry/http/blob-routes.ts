import { randomUUID } from 'node:crypto';
import type { Context } from 'koa';
import { SlipwayError } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { Blob, Blobs } from '../blobs/blobs.ts';
import type { Mirror } from '../mirror/mirror.ts';
import type { BlobRedirects } from './blob-redirects.ts';
import { type ByteRange, parseByteRanges } from './byte-ranges.ts';
import { digestIn, endpoint } from './parameters.ts';
import { actorOf, repositoryFor } from './request-state.ts';
import type { Routes } from './routes.ts';
import { sendContent } from './send-content.ts';
import { sendEmpty } from './send-empty.ts';

const TYPE = 'application/octet-stream';
const BLOB = endpoint('/blobs/([^/]+)');

/** OCI distribution-spec, "Pulling blobs" and "Deleting Blobs". */
export function blobRoutes(
  routes: Routes,
  ports: { blobs: Blobs; mirror?: Mirror | undefined; redirects?: BlobRedirects | undefined },
): void {
  const { blobs, mirror, redirects } = ports;
  routes.get(BLOB, async (ctx) => {
    const [repository, digest] = [repositoryFor(ctx, 'pull'), digestIn(ctx)];
    const mirrored = mirror && (await mirror.blob(repository, digest, { head: ctx.method === 'HEAD' }));
    const blob = mirrored ?? (await blobs.get(repository, digest));
    if (matches(ctx.get('If-None-Match'), digest)) {
      ctx.set('ETag', `"${digest}"`);
      ctx.status = 304;
      return;
    }
    const ranges = askedRanges(ctx, blob, digest);
    if (await redirects?.answer(ctx, blob, digest)) return;
    await answer(ctx, blob, digest, ranges);
    ctx.res.end();
  });

  routes.delete(BLOB, async (ctx) => {
    await blobs.delete(repositoryFor(ctx, 'delete'), digestIn(ctx), actorOf(ctx));
    sendEmpty(ctx, 202);
  });
}

/** The ranges to be sent; undefined for the whole. Throws `range` when there is nothing in any of them. */
function askedRanges(ctx: Context, blob: Blob, digest: Digest): ByteRange[] | undefined {
  const header = ctx.method === 'GET' && mayRange(ctx, digest) ? ctx.get('Range') : '';
  const ranges = parseByteRanges(header || undefined, blob.size);
  if (ranges?.length !== 0) return ranges;
  ctx.set('Content-Range', `bytes */${blob.size}`);
  throw new SlipwayError('range', 'requested range not satisfiable', {
    code: 'SIZE_INVALID',
    detail: { size: blob.size },
  });
}

async function answer(
  ctx: Context,
  blob: Blob,
  digest: Digest,
  ranges: ByteRange[] | undefined,
): Promise<void> {
  const [range] = ranges ?? [];
  // Ranges that add up to more than the whole are a way to make a server work, not to read a blob.
  if (!ranges || !range || total(ranges) > blob.size) await sendWhole(ctx, blob, digest);
  else if (ranges.length === 1) await sendRange(ctx, blob, digest, range);
  else await sendRanges(ctx, blob, digest, ranges);
}

async function sendWhole(ctx: Context, blob: Blob, digest: Digest): Promise<void> {
  const content = ctx.method === 'HEAD' ? undefined : await blob.open();
  begin(ctx, digest, 200, { 'Content-Type': TYPE, 'Content-Length': blob.size });
  if (content) await sendContent(ctx.res, content);
}

async function sendRange(ctx: Context, blob: Blob, digest: Digest, range: ByteRange): Promise<void> {
  const content = await blob.open(range);
  begin(ctx, digest, 206, {
    'Content-Type': TYPE,
    'Content-Length': length(range),
    'Content-Range': contentRange(range, blob.size),
  });
  await sendContent(ctx.res, content);
}

/** RFC 9110, 14.6: each range as a part of its own. */
async function sendRanges(ctx: Context, blob: Blob, digest: Digest, ranges: ByteRange[]): Promise<void> {
  const boundary = randomUUID();
  const end = `\r\n--${boundary}--\r\n`;
  const parts = ranges.map((range) => ({
    range,
    head: `\r\n--${boundary}\r\nContent-Type: ${TYPE}\r\nContent-Range: ${contentRange(range, blob.size)}\r\n\r\n`,
  }));
  const size = parts.reduce((sum, part) => sum + part.head.length + length(part.range), end.length);
  let content = await blob.open(parts[0]!.range);
  begin(ctx, digest, 206, {
    'Content-Type': `multipart/byteranges; boundary=${boundary}`,
    'Content-Length': size,
  });
  for (const [index, { head, range }] of parts.entries()) {
    if (index > 0) content = await blob.open(range);
    ctx.res.write(head);
    await sendContent(ctx.res, content);
  }
  ctx.res.write(end);
}

/** From here on the answer is the content; what fails breaks it off. */
function begin(ctx: Context, digest: Digest, status: number, headers: Record<string, string | number>): void {
  ctx.respond = false;
  ctx.res.writeHead(status, {
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'Accept-Ranges': 'bytes',
    // What a digest names never changes; who may see it can.
    'Cache-Control': 'private, max-age=31536000',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
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
