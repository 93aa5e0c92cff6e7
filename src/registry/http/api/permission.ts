import type { Context } from 'koa';
import { forbidden, unauthorized } from '#errors/errors.ts';
import { setApiChallenge } from '../request-state.ts';
import type { Caller, Target } from './operation.ts';

/** Throws `unauthorized` (who are you?) or `forbidden` (not you) unless the caller is one whom the operation is for. */
export function permit<T extends Target<unknown, unknown>>(ctx: Context, caller: Caller<T>, target: T): void {
  if (allowed(caller, target)) return;
  setApiChallenge(ctx);
  if (ctx.get('Authorization') !== '') throw forbidden('not allowed', { code: 'forbidden' });
  throw unauthorized('authentication required', { code: 'unauthorized' });
}

function allowed<T extends Target<unknown, unknown>>(caller: Caller<T>, target: T): boolean {
  const { access } = target;
  if (caller === 'anyone') return true;
  if (caller === 'admin') return access.administers();
  if ('namespace' in caller) return access.administers(caller.namespace(target));
  return access.allows(caller.repository(target), caller.action);
}
