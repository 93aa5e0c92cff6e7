import { notFound } from '#errors/errors.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { Referrers } from '../referrers/referrers.ts';
import type { RepositoriesRepository } from '../repositories/repositories-repository.ts';
import type { TagsRepository } from '../tags/tags-repository.ts';
import { linkNext, page, pageSize } from './paging.ts';
import { digestIn, endpoint, queryValue } from './parameters.ts';
import { accessOf, expectListing, repositoryFor } from './request-state.ts';
import type { Routes } from './routes.ts';
import { sendAsciiJson } from './send-ascii-json.ts';

interface Services {
  readonly tags: TagsRepository;
  readonly repositories: RepositoriesRepository;
  readonly referrers: Referrers;
}

/** OCI distribution-spec, "Content Discovery", and Docker's catalog. */
export function listingRoutes(routes: Routes, { tags, repositories, referrers }: Services): void {
  routes.get(/^\/v2\/_catalog\/?$/, async (ctx) => {
    expectListing(ctx);
    ctx.body = {
      repositories: await page(ctx, (limit, last) =>
        repositories.list({ limit, last, access: accessOf(ctx) }),
      ),
    };
  });

  routes.get(endpoint('/tags/list'), async (ctx) => {
    const name = repositoryFor(ctx, 'pull');
    const wanted = pageSize(ctx);
    const found = await tags.page(name, wanted, queryValue(ctx, 'last'));
    if (!found) {
      throw notFound('repository name not known to registry', { code: 'NAME_UNKNOWN', detail: { name } });
    }
    if (found.last !== undefined) linkNext(ctx, { n: String(wanted), last: found.last });
    sendAsciiJson(ctx, `{"name":"${name}","tags":${found.names}}`);
  });

  routes.get(endpoint('/referrers/([^/]+)'), async (ctx) => {
    const [repository, subject] = [repositoryFor(ctx, 'pull'), digestIn(ctx)];
    const artifactType = queryValue(ctx, 'artifactType') || undefined;
    const last = queryValue(ctx, 'last');
    const { descriptors, more } = await referrers.list(repository, subject, { artifactType, last });
    if (more) linkNext(ctx, { ...(artifactType && { artifactType }), last: descriptors.at(-1)!.digest });
    if (artifactType) ctx.set('OCI-Filters-Applied', 'artifactType');
    ctx.body = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: descriptors };
    ctx.type = MEDIA_TYPE.ociIndex;
  });
}
