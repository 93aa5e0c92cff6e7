import { invalid } from '#errors/errors.ts';
import { DEFAULT_DOMAIN } from '#oci/reference.ts';
import type { Images } from '../images/images.ts';
import { checkFilters } from './list-filters.ts';
import { filtersQuery, numberQuery, stringQuery } from './query.ts';
import { registryAuth } from './registry-auth.ts';
import { requestSignal } from './request-signal.ts';
import type { EngineRouter } from './router.ts';

const DEFAULT_LIMIT = 25;
const MAX_LIMIT = 100;

/** `docker search [HOST/]TERM`: what registries find. */
export function searchRoutes(router: EngineRouter, images: Pick<Images, 'registries'>): void {
  router.get('/images/search', async (ctx) => {
    const text = stringQuery(ctx, 'term') ?? '';
    if (/^https?:\/\//.test(text))
      throw invalid(`invalid repository name (ex: "registry.domain.tld/myrepos")`);
    const limit = numberQuery(ctx, 'limit') || DEFAULT_LIMIT;
    if (limit < 1 || limit > MAX_LIMIT) {
      throw invalid(`Limit ${limit} is outside the range of [1, ${MAX_LIMIT}]`);
    }
    const filters = filtersQuery(ctx);
    checkFilters(filters, ['is-automated', 'is-official', 'stars']);
    const { domain, term } = splitTerm(text);
    const credentials = registryAuth(ctx);
    const found = await images.registries.search(domain, term, {
      limit,
      signal: requestSignal(ctx),
      ...(credentials && { credentials }),
    });
    const wanted = (name: string, actual: boolean) =>
      (filters.get(name) ?? []).every((value) => (value === 'true' || value === '1') === actual);
    const stars = Math.max(0, ...(filters.get('stars') ?? []).map(Number));
    ctx.body = found
      .filter(
        (it) =>
          wanted('is-official', it.official) && wanted('is-automated', it.automated) && it.stars >= stars,
      )
      .map((it) => ({
        star_count: it.stars,
        is_official: it.official,
        name: it.name,
        is_automated: it.automated,
        description: it.description,
      }));
  });
}

/** The first component is a registry when it looks like one, as the docker CLI has it. */
function splitTerm(text: string): { domain: string; term: string } {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  if (first === '' || !(/[.:]/.test(first) || first === 'localhost'))
    return { domain: DEFAULT_DOMAIN, term: text };
  return { domain: first === 'index.docker.io' ? DEFAULT_DOMAIN : first, term: text.slice(slash + 1) };
}
