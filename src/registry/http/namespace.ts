import type { Context, Next } from 'koa';
import { queryValue } from './parameters.ts';

/**
 * `ns=` on a pull is the host in the name that the client's user wrote (OCI distribution-spec, "Registry Proxying"). When
 * that is this registry, by the name under which the request reached it, the answer says that it is: OCI-Namespace.
 * Any other namespace is left alone.
 */
export function ownNamespace(ctx: Context, next: Next): Promise<void> {
  const wanted = ctx.method === 'GET' || ctx.method === 'HEAD' ? queryValue(ctx, 'ns') : undefined;
  if (wanted && hostOf(wanted) === hostOf(ctx.host)) ctx.set('OCI-Namespace', wanted);
  return next();
}

/** As it is written without the port that goes without saying. */
function hostOf(text: string): string {
  return text.toLowerCase().replace(/:(?:80|443)$/, '');
}
