import type { Context } from 'koa';
import { invalid, isKind, notFound } from '#errors/errors.ts';
import { type Digest, type DigestAlgorithm, isDigest, parseDigest } from '#oci/digest.ts';
import { isRepositoryName, type RepositoryName } from '#oci/reference.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { ChunkRange, Uploads } from '../uploads/uploads.ts';
import { endpoint, queryValue, segment } from './parameters.ts';
import { requestBody } from './request-body.ts';
import { accessOf, actorOf, repositoryFor } from './request-state.ts';
import type { Routes } from './routes.ts';
import { sendEmpty } from './send-empty.ts';

const UPLOADS = endpoint('/blobs/uploads/?');
const UPLOAD = endpoint('/blobs/uploads/([^/]+)');
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** OCI distribution-spec, "Pushing blobs". */
export function uploadRoutes(routes: Routes, { uploads, blobs }: { uploads: Uploads; blobs: Blobs }): void {
  routes.post(UPLOADS, async (ctx) => {
    const repository = repositoryFor(ctx, 'push');
    const mount = queryValue(ctx, 'mount');
    if (mount !== undefined && (await mounted(ctx, blobs, repository, mount))) {
      created(ctx, repository, mount as Digest);
      return;
    }
    const digest = queryValue(ctx, 'digest');
    if (digest !== undefined) {
      const parsed = parseDigest(digest);
      await uploads.put(repository, parsed, requestBody(ctx), actorOf(ctx));
      created(ctx, repository, parsed);
      return;
    }
    const id = await uploads.begin(repository, algorithm(ctx));
    if (uploads.minimumChunk !== undefined) ctx.set('OCI-Chunk-Min-Length', String(uploads.minimumChunk));
    accepted(ctx, 202, repository, id, 0);
  });

  routes.get(UPLOAD, async (ctx) => {
    const [repository, id] = [repositoryFor(ctx, 'push'), uploadId(ctx)];
    accepted(ctx, 204, repository, id, await uploads.offset(repository, id));
  });

  routes.patch(UPLOAD, async (ctx) => {
    const [repository, id] = [repositoryFor(ctx, 'push'), uploadId(ctx)];
    const range = chunkRange(ctx);
    const offset = await telling(ctx, repository, id, () =>
      uploads.append(repository, id, requestBody(ctx), range),
    );
    accepted(ctx, 202, repository, id, offset);
  });

  routes.put(UPLOAD, async (ctx) => {
    const [repository, id] = [repositoryFor(ctx, 'push'), uploadId(ctx)];
    const digest = parseDigest(queryValue(ctx, 'digest') ?? '');
    const range = chunkRange(ctx);
    const end = { digest, body: requestBody(ctx), range, actor: actorOf(ctx) };
    await telling(ctx, repository, id, () => uploads.finish(repository, id, end));
    created(ctx, repository, digest);
  });

  routes.delete(UPLOAD, async (ctx) => {
    await uploads.cancel(repositoryFor(ctx, 'push'), uploadId(ctx));
    sendEmpty(ctx, 204);
  });
}

/** A mount that cannot be is no error: the client gets an upload instead. */
async function mounted(
  ctx: Context,
  blobs: Blobs,
  repository: RepositoryName,
  digest: string,
): Promise<boolean> {
  const from = queryValue(ctx, 'from');
  if (!isDigest(digest) || (from !== undefined && !isRepositoryName(from))) return false;
  return await blobs.mount(repository, digest, { from, access: accessOf(ctx), actor: actorOf(ctx) });
}

/** Runs a request's chunk; a client that was out of step is told where to go on. */
async function telling<T>(
  ctx: Context,
  repository: RepositoryName,
  id: string,
  task: () => Promise<T>,
): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (isKind(error, 'range')) {
      const { offset } = error.detail as { offset: number };
      progress(ctx, repository, id, offset);
    }
    throw error;
  }
}

function accepted(
  ctx: Context,
  status: 202 | 204,
  repository: RepositoryName,
  id: string,
  offset: number,
): void {
  progress(ctx, repository, id, offset);
  sendEmpty(ctx, status);
}

function progress(ctx: Context, repository: RepositoryName, id: string, offset: number): void {
  ctx.set('Location', `/v2/${repository}/blobs/uploads/${id}`);
  ctx.set('Range', `0-${Math.max(offset - 1, 0)}`);
  ctx.set('Docker-Upload-UUID', id);
}

function created(ctx: Context, repository: RepositoryName, digest: Digest): void {
  ctx.set('Location', `/v2/${repository}/blobs/${digest}`);
  ctx.set('Docker-Content-Digest', digest);
  sendEmpty(ctx, 201);
}

function uploadId(ctx: Context): string {
  const id = segment(ctx, 1);
  if (!ID.test(id)) throw notFound('blob upload unknown to registry', { code: 'BLOB_UPLOAD_UNKNOWN' });
  return id;
}

function algorithm(ctx: Context): DigestAlgorithm | undefined {
  const name = queryValue(ctx, 'digest-algorithm');
  if (name === undefined || name === 'sha256' || name === 'sha512') return name;
  throw invalid(`unsupported digest algorithm ${JSON.stringify(name)}`, { code: 'DIGEST_INVALID' });
}

/** The chunk's place: `start-end` (OCI distribution-spec, "Pushing a blob in chunks"); some write `bytes=` before. */
function chunkRange(ctx: Context): ChunkRange | undefined {
  const header = ctx.get('Content-Range');
  if (header === '') return undefined;
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header);
  const [start, end] = [Number(match?.[1]), Number(match?.[2])];
  // A range of nothing is written `0--1` or with its end before its start by some; there is no telling what of.
  if (!match || end < start) {
    throw invalid('malformed Content-Range', { code: 'BLOB_UPLOAD_INVALID', detail: { header } });
  }
  const announced = ctx.request.length;
  if (announced !== undefined && announced !== end - start + 1) {
    throw invalid('Content-Length differs from Content-Range', { code: 'SIZE_INVALID' });
  }
  return { start, end };
}
