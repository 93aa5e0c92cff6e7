import type { Context, Next } from 'koa';
import { unsupported } from '#errors/errors.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { queryValue } from './parameters.ts';

const PATH = /^\/v2\/(.+)\/((?:manifests|blobs|tags|referrers)\/[^/]+)$/;
const WRITES = new Set(['POST', 'PUT', 'PATCH']);
const WRITTEN = /^\/v2\/(.+)\/(?:manifests\/[^/]+|blobs\/uploads\/[^/]*)$/;

/**
 * Clients that are told to use a mirror ask for the names of the registry that it mirrors, and say which one that is
 * with `ns=` (OCI distribution-spec, "Registry Proxying"): from here on the repository has the name that it has here.
 */
export function mirroredNames(mirror: Mirror) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const namespace = ctx.method === 'GET' || ctx.method === 'HEAD' ? queryValue(ctx, 'ns') : undefined;
    const [, asked, rest] = (namespace && PATH.exec(ctx.path)) || [];
    const name = namespace && asked ? mirror.nameOf(namespace, asked) : undefined;
    if (name !== undefined) {
      ctx.path = `/v2/${name}/${rest}`;
      ctx.set('OCI-Namespace', namespace!);
    }
    await next();
  };
}

/** What is mirrored is as upstream has it: pushes to it are refused. */
export function refuseToMirrors(mirror: Mirror) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const name = WRITES.has(ctx.method) ? WRITTEN.exec(ctx.path)?.[1] : undefined;
    if (name !== undefined && mirror.isPure(name as RepositoryName)) {
      throw unsupported(`${name} mirrors another registry: nothing can be pushed to it`);
    }
    await next();
  };
}
