import type { SearchRepository } from '../search/search-repository.ts';
import { queryValue } from './parameters.ts';
import { accessOf, expectListing } from './request-state.ts';
import type { Routes } from './routes.ts';

const DEFAULT_RESULTS = 25;
const MAX_RESULTS = 100;

/**
 * What is left of Docker's first registry protocol: `docker search HOST/TERM` asks for this, after a look at whether
 * there is a registry (moby, registry/search.go).
 */
export function dockerSearchRoutes(routes: Routes, { search }: { search: SearchRepository }): void {
  routes.get(/^\/v1\/_ping\/?$/, (ctx) => {
    ctx.set('X-Docker-Registry-Standalone', 'true');
    ctx.body = 'true';
    ctx.type = 'application/json';
  });

  routes.get(/^\/v1\/search\/?$/, async (ctx) => {
    expectListing(ctx);
    const query = (queryValue(ctx, 'q') ?? '').slice(0, 200);
    const wanted = Number(queryValue(ctx, 'n') ?? DEFAULT_RESULTS);
    const limit = Number.isInteger(wanted) && wanted > 0 ? Math.min(wanted, MAX_RESULTS) : DEFAULT_RESULTS;
    const found = await search.find(query, { limit, access: accessOf(ctx) });
    ctx.body = {
      query,
      num_results: found.length,
      num_pages: 1,
      page: 1,
      page_size: limit,
      results: found.map(({ repository, title, description }) => ({
        name: repository,
        description: description ?? title ?? '',
        star_count: 0,
        is_official: false,
        is_automated: false,
      })),
    };
  });
}
