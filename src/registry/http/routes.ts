import type { Context, Middleware, Next } from 'koa';

/** Answers a request, or has `next` do so. */
export type Handler = (ctx: Context, next: Next) => unknown;

interface Route {
  readonly method: string;
  readonly path: RegExp;
  readonly handler: Handler;
}

/**
 * Which handler answers which path. They are tried in the order in which they were added; what a path's groups matched
 * is in `ctx.captures`, from 1 on. Who answers GET answers HEAD.
 */
export class Routes {
  readonly #routes: Route[] = [];
  readonly #byMethod = new Map<string, Route[]>();

  get(path: RegExp, handler: Handler): void {
    this.#add('GET', path, handler);
    this.#add('HEAD', path, handler);
  }

  head(path: RegExp, handler: Handler): void {
    this.#add('HEAD', path, handler);
  }

  post(path: RegExp, handler: Handler): void {
    this.#add('POST', path, handler);
  }

  put(path: RegExp, handler: Handler): void {
    this.#add('PUT', path, handler);
  }

  patch(path: RegExp, handler: Handler): void {
    this.#add('PATCH', path, handler);
  }

  delete(path: RegExp, handler: Handler): void {
    this.#add('DELETE', path, handler);
  }

  /** Has the first handler for a request's method and path answer it; whatever comes next answers the others. */
  readonly answer: Middleware = (ctx, next) => this.#answerFrom(0, ctx, next);

  /** The methods that a path has. */
  methodsOf(path: string): string[] {
    return [...new Set(this.#routes.flatMap((route) => (route.path.test(path) ? route.method : [])))];
  }

  #answerFrom(start: number, ctx: Context, next: Next): unknown {
    const routes = this.#byMethod.get(ctx.method) ?? [];
    for (let index = start; index < routes.length; index++) {
      const { path, handler } = routes[index]!;
      const captures = path.exec(ctx.path);
      if (!captures) continue;
      ctx.captures = captures;
      return handler(ctx, async () => await this.#answerFrom(index + 1, ctx, next));
    }
    return next();
  }

  #add(method: string, path: RegExp, handler: Handler): void {
    const route = { method, path, handler };
    this.#routes.push(route);
    this.#byMethod.set(method, [...(this.#byMethod.get(method) ?? []), route]);
  }
}
