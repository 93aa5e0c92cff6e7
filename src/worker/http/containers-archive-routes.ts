import { pipeline } from 'node:stream/promises';
import { invalid } from '#errors/errors.ts';
import type { PathStat } from '../containers/archive/path-stat.ts';
import type { Containers } from '../containers/containers.ts';
import { readJson, requestBody } from './body.ts';
import { containerOf, containerPath } from './container-path.ts';
import { commitConfigShape } from './containers-create-shape.ts';
import { booleanQuery, listQuery, stringQuery } from './query.ts';
import { requestSignal } from './request-signal.ts';
import type { EngineContext, EngineRouter } from './router.ts';

type Services = Pick<Containers, 'store' | 'archives' | 'committer'>;

/** Files of containers: copied in and out, exported, made an image. */
export function containersArchiveRoutes(router: EngineRouter, services: Services): void {
  const { store, archives, committer } = services;

  router.head(containerPath('archive'), async (ctx) => {
    setPathStat(ctx, await archives.stat(containerOf(ctx, store), pathQuery(ctx)));
    ctx.body = '';
  });

  router.get(containerPath('archive'), async (ctx) => {
    await archives.read(containerOf(ctx, store), pathQuery(ctx), async (stat, archive) => {
      setPathStat(ctx, stat);
      await sendTar(ctx, archive);
    });
  });

  router.put(containerPath('archive'), async (ctx) => {
    await archives.write(containerOf(ctx, store), pathQuery(ctx), requestBody(ctx), {
      keepTypes: booleanQuery(ctx, 'noOverwriteDirNonDir'),
      ownerOfContainer: booleanQuery(ctx, 'copyUIDGID'),
      signal: requestSignal(ctx),
    });
    ctx.body = '';
  });

  router.get(containerPath('export'), async (ctx) => {
    await archives.export(containerOf(ctx, store), (archive) => sendTar(ctx, archive));
  });

  router.post('/commit', async (ctx) => {
    const container = store.get(stringQuery(ctx, 'container') ?? '');
    const config = (await readJson(ctx)) ?? {};
    const given = commitConfigShape.parse(config);
    const repository = stringQuery(ctx, 'repo') ?? '';
    const tag = stringQuery(ctx, 'tag');
    const image = await committer.commit(container, {
      name: repository === '' ? '' : `${repository}:${tag || 'latest'}`,
      author: stringQuery(ctx, 'author') ?? '',
      comment: stringQuery(ctx, 'comment') ?? '',
      pause: booleanQuery(ctx, 'pause', true),
      changes: listQuery(ctx, 'changes')
        .flatMap((text) => text.split('\n'))
        .filter((line) => line.trim() !== ''),
      config: Object.fromEntries(
        Object.entries(given).filter(([name, value]) => name in (config as object) && value),
      ),
    });
    ctx.status = 201;
    ctx.body = { Id: image.id };
  });
}

/** Begins to answer only when the archive does: what fails before is a proper error. */
async function sendTar(ctx: EngineContext, archive: AsyncIterable<Uint8Array>): Promise<void> {
  const signal = requestSignal(ctx);
  ctx.respond = false;
  ctx.res.statusCode = 200;
  ctx.res.setHeader('Content-Type', 'application/x-tar');
  try {
    await pipeline(archive, ctx.res, { signal });
  } catch (error) {
    // A client that has enough is no failure.
    if (!signal.aborted) throw error;
  }
}

function setPathStat(ctx: EngineContext, stat: PathStat): void {
  ctx.set('X-Docker-Container-Path-Stat', Buffer.from(JSON.stringify(stat)).toString('base64'));
}

function pathQuery(ctx: EngineContext): string {
  const path = stringQuery(ctx, 'path');
  if (!path) throw invalid('missing path: bad parameter');
  if (path.includes('\0')) throw invalid('invalid path: it contains a null byte');
  return path.startsWith('/') ? path : `/${path}`;
}
