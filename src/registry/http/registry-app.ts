import type { IncomingMessage, ServerResponse } from 'node:http';
import Koa, { type Context, type Middleware, type Next } from 'koa';
import type { Logger } from 'pino';
import type { Authenticator } from '#auth/authenticator.ts';
import { NO_METRICS } from '#observability/metrics.ts';
import { NO_TRACER } from '#observability/tracer.ts';
import type { DenialLog } from '../events/denial-log.ts';
import type { Federation } from '../federation.ts';
import type { Housekeeping } from '../housekeeping.ts';
import type { Registry } from '../registry.ts';
import type { Accounts } from './api/account-routes.ts';
import { adminApi } from './api/api.ts';
import { apiOperations } from './api/operations.ts';
import type { BlobRedirects } from './blob-redirects.ts';
import { blobRoutes } from './blob-routes.ts';
import { refuseDeletes } from './delete-refusal.ts';
import { deniedRequests } from './denied-requests.ts';
import { errorBodies, isClientGone, sendError } from './errors.ts';
import { extensionRoutes } from './extension-routes.ts';
import { keepFound } from './keep-found.ts';
import { listingRoutes } from './listing-routes.ts';
import { type LoginRoutesOptions, loginRoutes } from './login-routes.ts';
import { ManifestPulls } from './manifest-pulls.ts';
import { manifestRoutes } from './manifest-routes.ts';
import { mirroredNames, refuseToMirrors } from './mirrored-names.ts';
import { ownNamespace } from './namespace.ts';
import { type ObservedRequestsOptions, observedRequests, RequestObserver } from './observed-requests.ts';
import { addressLimit, CountedRequests, principalLimits, type RateLimitsOptions } from './rate-limits.ts';
import { authentication, expectCredentials } from './request-state.ts';
import { Routes } from './routes.ts';
import { dockerSearchRoutes } from './search-routes.ts';
import { type TokenRoutesOptions, tokenRoutes } from './token-routes.ts';
import { clientAddress, TrustedProxies } from './trusted-proxies.ts';
import { uploadRoutes } from './upload-routes.ts';
import { VERSION_HEADER } from './version-header.ts';

export interface RegistryAppOptions extends Partial<Omit<ObservedRequestsOptions, 'logger'>> {
  readonly logger: Logger;
  readonly authenticator: Authenticator;
  /** Whom the admin API administers. */
  readonly accounts?: Accounts | undefined;
  /** Where tokens come from, if the authenticator takes them. */
  readonly tokens?: TokenRoutesOptions | undefined;
  /** How people log in with a browser. */
  readonly logins?: LoginRoutesOptions | undefined;
  /** What is kept, and what was deleted, for the admin API. */
  readonly housekeeping?: Housekeeping | undefined;
  /** The largest manifest taken, in bytes. */
  readonly maxManifestSize: number;
  /** Whether clients may delete tags, manifests and blobs; they may unless said otherwise. */
  readonly deletes?: boolean;
  /** What it has to do with others; nothing unless said otherwise. */
  readonly federation?: Federation;
  /** Who is sent to the content store for blobs; nobody unless said otherwise. */
  readonly redirects?: BlobRedirects | undefined;
  /** Where denied requests are written down; nowhere unless said otherwise. */
  readonly denials?: DenialLog | undefined;
  /** Proxies in front; none unless said otherwise. */
  readonly trustedProxies?: TrustedProxies;
  /** How many requests may come from whom; any number unless said otherwise. */
  readonly rateLimits?: RateLimitsOptions | undefined;
}

/** The Distribution API and the admin API as a Koa application. */
export function createRegistryApp(registry: Registry, options: RegistryAppOptions): Koa {
  const routes = new Routes();
  const mirror = options.federation?.mirror;
  keepFound(routes, registry.reviews);
  // Pulls first: the routes are tried in this order.
  manifestRoutes(routes, {
    manifests: registry.manifests,
    maxSize: options.maxManifestSize,
    mirror,
    pulls: options.federation?.statistics,
  });
  blobRoutes(routes, { blobs: registry.blobs, mirror, redirects: options.redirects });
  uploadRoutes(routes, registry);
  listingRoutes(routes, registry);
  if (options.federation) dockerSearchRoutes(routes, options.federation);
  extensionRoutes(routes);
  routes.get(/^\/v2\/?$/, (ctx) => {
    expectCredentials(ctx);
    ctx.body = {};
  });

  const api = adminApi(
    apiOperations(registry, options.federation, options.accounts, options.housekeeping),
    options.logger,
  );
  const { logger, authenticator, metrics = NO_METRICS, tracer = NO_TRACER, accessLog = 'off' } = options;
  const observer = new RequestObserver({ logger, metrics, accessLog });
  const proxies = options.trustedProxies ?? new TrustedProxies([]);
  const limits = options.rateLimits && new CountedRequests(options.rateLimits);
  const pulls = options.federation?.statistics;
  const { manifests } = registry;
  const ports = { manifests, authenticator, proxies, limits, mirror, pulls, observer };
  // What is traced goes all the way.
  const app = new RegistryApp(tracer === NO_TRACER ? new ManifestPulls(ports) : undefined);
  app.use(observedRequests(observer, tracer));
  app.use(errorBodies(logger));
  app.use(version);
  app.use(beside(api.errors));
  if (options.denials) app.use(deniedRequests(options.denials));
  app.use(clientAddress(proxies));
  if (limits) app.use(addressLimit(limits));
  if (options.tokens) app.use(beside(tokenRoutes(options.tokens)));
  if (options.logins) app.use(beside(loginRoutes(options.logins)));
  app.use(authentication(authenticator));
  if (limits) app.use(principalLimits(limits));
  app.use(beside(api.routes));
  app.use(ownNamespace);
  if (mirror) app.use(mirroredNames(mirror)).use(refuseToMirrors(mirror));
  if (options.deletes === false) app.use(refuseDeletes);
  app.use(routes.answer);
  app.use((ctx) => unmatched(ctx, routes));
  app.on('error', (error) => {
    if (!isClientGone(error)) options.logger.error({ err: error }, 'request failed');
  });
  return app;
}

/** A Koa application that leaves pulls of manifests to whoever answers them sooner. */
class RegistryApp extends Koa {
  readonly #pulls: ManifestPulls | undefined;

  constructor(pulls: ManifestPulls | undefined) {
    super();
    this.#pulls = pulls;
  }

  override callback(): ReturnType<Koa['callback']> {
    const [answer, pulls] = [super.callback(), this.#pulls];
    if (!pulls) return answer;
    return async (request, response) => {
      // Koa could do HTTP/2 as well, which nobody serves here.
      const answered = await pulls.answer(request as IncomingMessage, response as ServerResponse);
      if (!answered) await answer(request, response);
    };
  }
}

/** For what has paths of its own beside the Distribution API, whose requests are the most by far. */
function beside(middleware: Middleware): Middleware {
  return (ctx, next) => (ctx.path.startsWith('/v2/') ? next() : middleware(ctx, next));
}

function version(ctx: Context, next: Next): Promise<void> {
  ctx.res.setHeader(...VERSION_HEADER);
  return next();
}

function unmatched(ctx: Context, routes: Routes): void {
  const allowed = routes.methodsOf(ctx.path);
  if (allowed.length === 0) {
    sendError(ctx, 404, 'NAME_UNKNOWN', 'no such endpoint');
    return;
  }
  ctx.set('Allow', allowed.join(', '));
  sendError(ctx, 405, 'UNSUPPORTED', 'the operation is unsupported');
}
