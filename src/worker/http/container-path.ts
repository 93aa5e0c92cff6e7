import type { Container } from '../containers/container.ts';
import type { ContainerStore } from '../containers/container-store.ts';
import type { EngineContext } from './router.ts';

/** `/containers/{id}` and `/containers/{id}/{action}`; a name may keep the slash that inspect shows it with. */
export function containerPath(action = ''): RegExp {
  return new RegExp(`^/containers/(/?[^/]+)${action === '' ? '' : `/${action}`}$`);
}

/** What a `containerPath` matched, percent-decoded. */
export function containerReference(ctx: EngineContext): string {
  const captured = (ctx.captures?.[0] ?? '').replace(/^\//, '');
  try {
    return decodeURIComponent(captured);
  } catch {
    return captured;
  }
}

/** Throws `not-found`. */
export function containerOf(ctx: EngineContext, store: ContainerStore): Container {
  return store.get(containerReference(ctx));
}
