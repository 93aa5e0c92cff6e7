import type { Context, Next } from 'koa';
import { unsupported } from '#errors/errors.ts';
import { endpoint } from './parameters.ts';

const CONTENT = endpoint('/(?:manifests|blobs)/[^/]+');

/** A registry whose clients may not delete (OCI distribution-spec, "Content Management"). Uploads can be cancelled. */
export function refuseDeletes(ctx: Context, next: Next): Promise<void> {
  if (ctx.method !== 'DELETE' || !CONTENT.test(ctx.path)) return next();
  ctx.set('Allow', 'GET, HEAD, PUT');
  throw unsupported('this registry does not let clients delete');
}
