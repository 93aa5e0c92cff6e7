import { invalid } from '#errors/errors.ts';
import { parsePlatform } from '#oci/platform.ts';
import { familiarReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import type { CacheContents } from '../build/cache/cache-contents.ts';
import { type PruneRequest, prune } from '../build/cache/prune.ts';
import type { ClassicBuilds } from '../build/classic/classic-builds.ts';
import { ClassicFailure } from '../build/classic/classic-failure.ts';
import type { ClassicRequest } from '../build/classic/classic-request.ts';
import { requestBody } from './body.ts';
import { BuildProgress } from './build-progress.ts';
import { buildLimits, extraHosts, jsonObject, jsonStrings, registryAuth } from './build-query.ts';
import { ProgressStream } from './progress-stream.ts';
import { booleanQuery, filtersQuery, listQuery, numberQuery, stringQuery } from './query.ts';
import type { EngineContext, EngineRouter } from './router.ts';

export interface BuildServices {
  readonly classic: Pick<ClassicBuilds, 'build' | 'cancel'>;
  /** What all builders have left for later builds, and what is free on its disk. */
  readonly kept: { readonly contents: readonly CacheContents[]; readonly freeBytes: () => Promise<number> };
}

/** The classic builder: `docker build` without BuildKit, and the care of its cache. */
export function buildRoutes(router: EngineRouter, { classic, kept }: BuildServices): void {
  router.post('/build', async (ctx) => {
    const request = buildRequest(ctx);
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
  });

  router.post('/build/prune', async (ctx) => {
    const { removed, bytes } = await prune(kept.contents, pruneRequest(ctx), kept.freeBytes);
    ctx.body = { CachesDeleted: removed.map(({ id }) => id), SpaceReclaimed: bytes };
  });

  router.post('/build/cancel', (ctx) => {
    classic.cancel(stringQuery(ctx, 'id') ?? '');
    ctx.status = 204;
  });
}

function buildRequest(ctx: EngineContext): ClassicRequest {
  refuseUnsupported(ctx);
  const target = stringQuery(ctx, 'target');
  const platform = stringQuery(ctx, 'platform');
  const remote = stringQuery(ctx, 'remote');
  return {
    context: remote ? { remote } : requestBody(ctx),
    dockerfile: stringQuery(ctx, 'dockerfile') || 'Dockerfile',
    tags: tagsOf(ctx),
    buildArgs: jsonObject(ctx, 'buildargs', (value) => value === null || typeof value === 'string'),
    labels: jsonObject(ctx, 'labels', (value) => typeof value === 'string'),
    ...(target && { target }),
    noCache: booleanQuery(ctx, 'nocache'),
    cacheFrom: jsonStrings(ctx, 'cachefrom'),
    pull: booleanQuery(ctx, 'pull'),
    tellRemoved: { succeeded: booleanQuery(ctx, 'rm', true), failed: booleanQuery(ctx, 'forcerm') },
    ...(platform && { platform: parsePlatform(platform) }),
    network: networkOf(ctx),
    extraHosts: extraHosts(ctx),
    limits: buildLimits(ctx),
    registryAuth: registryAuth(ctx),
  };
}

function refuseUnsupported(ctx: EngineContext): void {
  if (booleanQuery(ctx, 'squash')) throw invalid('squash is only supported with experimental mode');
  if (listQuery(ctx, 'securityopt').some(Boolean)) {
    throw invalid('The daemon on this platform does not support setting security options on build');
  }
  const version = stringQuery(ctx, 'version');
  if (version && version !== '1') throw invalid(`unsupported builder version ${version}`);
  const outputs = stringQuery(ctx, 'outputs');
  if (outputs && outputs !== '[]' && outputs !== 'null')
    throw invalid('the outputs option requires BuildKit');
}

/** Each `t` as the CLI shows it, once. */
function tagsOf(ctx: EngineContext): string[] {
  const tags = listQuery(ctx, 't')
    .filter(Boolean)
    .map((text) => {
      const reference = parseImageReference(text);
      if (reference.digest) throw invalid('build tag cannot contain a digest');
      return familiarReference(withDefaultTag(reference));
    });
  return [...new Set(tags)];
}

function networkOf(ctx: EngineContext): string {
  const mode = stringQuery(ctx, 'networkmode') || 'default';
  if (mode.startsWith('container:')) throw invalid('a build cannot join the network of a container');
  return mode;
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
