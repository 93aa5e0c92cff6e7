import { isDigest } from '#oci/digest.ts';
import type { ReviewQueuesRepository } from '../gc/review-queues-repository.ts';
import { endpoint, segment } from './parameters.ts';
import { accessOf, repositoryFor } from './request-state.ts';
import type { Routes } from './routes.ts';

const QUEUES = [
  ['/blobs/([^/]+)', 'gc_link_queue'],
  ['/manifests/([^/]+)', 'gc_manifest_queue'],
] as const;

/**
 * A client that pushes asks first what is there, and does not send that: so it must not be collected before the push
 * is over. To be set up before the routes that answer.
 */
export function keepFound(routes: Routes, reviews: ReviewQueuesRepository): void {
  for (const [path, queue] of QUEUES) {
    routes.head(endpoint(path), async (ctx, next) => {
      const [repository, digest] = [repositoryFor(ctx, 'pull'), segment(ctx, 1)];
      if (isDigest(digest) && accessOf(ctx).allows(repository, 'push')) {
        await reviews.touch(queue, repository, digest);
      }
      await next();
    });
  }
}
