import { bareMediaType } from '#oci/media-type.ts';
import { parseTag } from '#oci/reference.ts';
import type { Manifests } from '../manifests/manifests.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { namespaceOf } from '../quotas/quotas-repository.ts';
import type { PullObserver } from '../statistics/pull.ts';
import { matches } from './blob-routes.ts';
import { BodyMemory } from './body-memory.ts';
import { sendError } from './errors.ts';
import { endpoint, existingReference, newReference, queryValues } from './parameters.ts';
import { readBody } from './request-body.ts';
import { accessOf, actorOf, repositoryFor } from './request-state.ts';
import type { Routes } from './routes.ts';
import { sendBytes } from './send-bytes.ts';
import { sendEmpty } from './send-empty.ts';
import { tagCondition } from './tag-condition.ts';
import { setWarnings } from './warnings.ts';

const MANIFEST = endpoint('/manifests/([^/]+)');
const MAX_TAGS = 100;
/** What manifests that are on their way may take together, in bytes. */
const BODIES = 128 * 1024 * 1024;

/** OCI distribution-spec, "Pulling manifests", "Pushing Manifests" and "Deleting Manifests". */
export function manifestRoutes(
  routes: Routes,
  ports: {
    manifests: Manifests;
    maxSize: number;
    mirror?: Mirror | undefined;
    pulls?: PullObserver | undefined;
  },
): void {
  const { manifests, maxSize, mirror, pulls } = ports;
  const memory = new BodyMemory(Math.max(BODIES, 4 * maxSize));

  routes.get(MANIFEST, async (ctx) => {
    const [repository, reference] = [repositoryFor(ctx, 'pull'), existingReference(ctx)];
    if (mirror) await mirror.freshen(repository, reference);
    const { digest, mediaType, payload } = await manifests.get(repository, reference);
    const { res } = ctx;
    const fresh = matches(ctx.get('If-None-Match'), digest);
    pulls?.pulled({
      repository,
      digest,
      tag: 'tag' in reference ? reference.tag : undefined,
      lookup: fresh || ctx.method === 'HEAD',
      client: `${accessOf(ctx).principal} ${ctx.ip}`,
    });
    res.setHeader('Docker-Content-Digest', digest);
    res.setHeader('ETag', `"${digest}"`);
    if (fresh) {
      ctx.status = 304;
      return;
    }
    // What was pushed is what is served, whatever Accept says: every client in use reads all four types.
    res.setHeader('Content-Type', mediaType);
    res.setHeader('Content-Length', payload.length);
    res.setHeader('X-Content-Type-Options', 'nosniff');
    res.statusCode = 200;
    ctx.respond = false;
    if (ctx.method === 'HEAD') res.end();
    else sendBytes(res, payload);
  });

  routes.put(MANIFEST, async (ctx) => {
    const [repository, reference] = [repositoryFor(ctx, 'push'), newReference(ctx)];
    const tags = queryValues(ctx, 'tag').map(parseTag);
    if (tags.length > MAX_TAGS) {
      sendError(ctx, 414, 'MANIFEST_INVALID', `more than ${MAX_TAGS} tags`);
      return;
    }
    const payload = await readBody(ctx, maxSize, { memory });
    const contentType = bareMediaType(ctx.get('Content-Type')) || undefined;
    const { digest, subject, warnings } = await manifests.put(repository, reference, {
      payload,
      contentType,
      tags,
      condition: tagCondition(ctx, reference),
      actor: actorOf(ctx),
    });
    setWarnings(ctx, warnings);
    ctx.set('Location', `/v2/${repository}/manifests/${digest}`);
    ctx.set('Docker-Content-Digest', digest);
    if (subject) ctx.set('OCI-Subject', subject);
    if (tags.length > 0) ctx.set('OCI-Tag', tags);
    sendEmpty(ctx, 201);
  });

  routes.delete(MANIFEST, async (ctx) => {
    const repository = repositoryFor(ctx, 'delete');
    const evenImmutable = accessOf(ctx).administers(namespaceOf(repository));
    await manifests.delete(repository, existingReference(ctx), actorOf(ctx), { evenImmutable });
    sendEmpty(ctx, 202);
  });
}
