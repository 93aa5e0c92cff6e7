import Router, { type RouterContext } from '@koa/router';

/** Set by the server for every request. */
export interface EngineState {
  /** The version the client speaks, `1.24` … `1.51`; the newest when its path names none. */
  apiVersion: string;
  requestId: string;
}

export type EngineContext = RouterContext<EngineState>;
export type EngineRouter = Router<EngineState>;

export function createEngineRouter(): EngineRouter {
  return new Router<EngineState>();
}

/** `/images/{name}/{action}`, where a name has slashes of its own; read it with `imageName`. */
export function imagePath(action: string, prefix = 'images'): RegExp {
  return new RegExp(`^/${prefix}/(.+)/${action}$`);
}

/** The image name that an `imagePath` (or any one-capture path) matched, percent-decoded. */
export function imageName(ctx: EngineContext): string {
  const captured = ctx.captures?.[0] ?? '';
  try {
    return decodeURIComponent(captured);
  } catch {
    return captured;
  }
}

/** Whether the client speaks at least this API version: `atLeast(ctx, '1.42')`. */
export function atLeast(ctx: EngineContext, version: string): boolean {
  return compareVersions(ctx.state.apiVersion, version) >= 0;
}

export function compareVersions(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}
