import { invalid } from '#errors/errors.ts';
import type { CacheContents } from '../build/cache/cache-contents.ts';
import { type PruneRequest, prune } from '../build/cache/prune.ts';
import type { ClassicBuilds } from '../build/classic/classic-builds.ts';
import { ClassicFailure } from '../build/classic/classic-failure.ts';
import type { BuildRequest } from '../buildkit/request/build-request.ts';
import type { RequestBuilds } from '../buildkit/request/request-builds.ts';
import { requestBody } from './body.ts';
import { BuildProgress } from './build-progress.ts';
import { buildkitRequest, classicRequest, uploadFor, usesBuildkit } from './build-request.ts';
import { ProgressStream } from './progress-stream.ts';
import { booleanQuery, filtersQuery, numberQuery, stringQuery } from './query.ts';
import { requestSignal } from './request-signal.ts';
import type { EngineContext, EngineRouter } from './router.ts';

export interface BuildServices {
  readonly classic: Pick<ClassicBuilds, 'build' | 'cancel'>;
  readonly requested: Pick<RequestBuilds, 'build' | 'upload' | 'cancel' | 'awaitSession'>;
  /** What all builders have left for later builds, and what is free on its disk. */
  readonly kept: { readonly contents: readonly CacheContents[]; readonly freeBytes: () => Promise<number> };
}

/** Builds that come as one request, for the classic builder or for BuildKit, and the care of what builds keep. */
export function buildRoutes(router: EngineRouter, { classic, requested, kept }: BuildServices): void {
  router.post('/build', async (ctx) => {
    if (!usesBuildkit(ctx)) return await buildClassic(ctx, classic);
    const upload = uploadFor(ctx);
    if (upload === undefined) return await buildWithBuildkit(ctx, requested);
    await requested.upload(upload, requestBody(ctx), { signal: requestSignal(ctx) });
    ctx.body = '';
  });

  router.post('/build/prune', async (ctx) => {
    const { removed, bytes } = await prune(kept.contents, pruneRequest(ctx), kept.freeBytes);
    ctx.body = { CachesDeleted: removed.map(({ id }) => id), SpaceReclaimed: bytes };
  });

  router.post('/build/cancel', (ctx) => {
    const id = stringQuery(ctx, 'id') ?? '';
    classic.cancel(id);
    requested.cancel(id);
    ctx.status = 204;
  });
}

async function buildClassic(ctx: EngineContext, classic: BuildServices['classic']): Promise<void> {
  const request = classicRequest(ctx);
  const stream = new ProgressStream(ctx);
  const progress = new BuildProgress(stream, { quiet: booleanQuery(ctx, 'q') });
  const id = stringQuery(ctx, 'buildid');
  try {
    await progress.finish(
      await classic.build(request, progress, { signal: stream.signal, ...(id && { id }) }),
    );
  } catch (error) {
    await progress.replay();
    await stream.fail(error, error instanceof ClassicFailure ? error.exitCode : undefined);
  }
}

async function buildWithBuildkit(ctx: EngineContext, requested: BuildServices['requested']): Promise<void> {
  const stream = new ProgressStream(ctx);
  const request = await requestOrRefusal(ctx, requested, stream.signal);
  const progress = new BuildProgress(stream, { quiet: booleanQuery(ctx, 'q') });
  try {
    const id = await requested.build(request, progress, { signal: stream.signal });
    if (id) await progress.made(id);
    await progress.finish(id);
  } catch (error) {
    await progress.replay();
    await stream.fail(error);
  }
}

async function requestOrRefusal(
  ctx: EngineContext,
  requested: BuildServices['requested'],
  signal: AbortSignal,
): Promise<BuildRequest> {
  try {
    return buildkitRequest(ctx);
  } catch (error) {
    await requested.awaitSession(stringQuery(ctx, 'session') ?? '', { signal });
    throw error;
  }
}

/** `docker builder prune`: filters `until`, `unused-for`, `id`, `type`, and how much to keep. */
function pruneRequest(ctx: EngineContext): PruneRequest {
  const filters = filtersQuery(ctx);
  const until = filters.get('until')?.[0] ?? filters.get('unused-for')?.[0];
  const ids = filters.get('id');
  const types = filters.get('type');
  const reservedBytes = numberQuery(ctx, 'reserved-space') ?? numberQuery(ctx, 'keep-storage');
  const maxUsedBytes = numberQuery(ctx, 'max-used-space');
  const minFreeBytes = numberQuery(ctx, 'min-free-space');
  return {
    ...(until && { unusedSince: timeBefore(until) }),
    ...(reservedBytes && { reservedBytes }),
    ...(maxUsedBytes && { maxUsedBytes }),
    ...(minFreeBytes && { minFreeBytes }),
    matches: (usage) =>
      (!ids || ids.some((id) => usage.id.startsWith(id))) && (!types || types.includes(usage.type)),
  };
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, ms: 0.001 };

/** `24h`, `1h30m`: that long ago; else a point in time. */
function timeBefore(text: string): Date {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length > 0 && parts.map(([part]) => part).join('') === text) {
    const seconds = parts.reduce((sum, [, number, unit]) => sum + Number(number) * SECONDS[unit!]!, 0);
    return new Date(Date.now() - seconds * 1000);
  }
  const time = /^\d+$/.test(text) ? new Date(Number(text) * 1000) : new Date(text);
  if (Number.isNaN(time.getTime())) throw invalid(`invalid filter 'until=${text}'`);
  return time;
}
