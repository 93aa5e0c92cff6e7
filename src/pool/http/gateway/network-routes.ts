import { conflict, notFound } from '#errors/errors.ts';
import { readJson } from '#worker/http/body.ts';
import { filtersQuery } from '#worker/http/query.ts';
import type { EngineContext, EngineRouter } from '#worker/http/router.ts';
import { isPredefined } from '../../gateway/pool-objects.ts';
import type { LivingWorker } from '../../gateway/workers.ts';
import { askAll } from './ask-all.ts';
import type { GatewayParts } from './gateway-parts.ts';
import {
  changeOverlay,
  createOverlay,
  inspectOverlay,
  listedOverlays,
  overlayOf,
  pruneOverlays,
  removeOverlay,
} from './overlay-network-routes.ts';
import { pass, reply } from './pass.ts';

interface NetworkBody {
  readonly Name?: unknown;
  readonly Driver?: unknown;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

/** Networks: each is on one worker, and so are the containers in it. Those that every worker has are shown once. */
export function networkRoutes(router: EngineRouter, parts: GatewayParts): void {
  const { placements, placer, client, objects } = parts;

  router.get('/networks', async (ctx) => {
    const answers = await askAll(ctx, parts);
    if (!answers) return;
    const shown = new Set<string>();
    ctx.body = answers
      .flatMap(({ body }) => body as { Name: string; Id: string; Driver?: string }[])
      .filter(({ Driver }) => Driver !== 'overlay')
      .filter(({ Name }) => !isPredefined('network', Name) || (!shown.has(Name) && shown.add(Name)))
      .concat(await listedOverlays(parts, filtersQuery(ctx)))
      .toSorted((a, b) => (a.Name < b.Name ? -1 : a.Name > b.Name ? 1 : a.Id < b.Id ? -1 : 1));
  });

  router.post('/networks/create', async (ctx) => {
    const body = ((await readJson(ctx)) ?? {}) as NetworkBody;
    const name = typeof body.Name === 'string' ? body.Name : '';
    if (body.Driver === 'overlay' && !isPredefined('network', name)) {
      return await createOverlay(ctx, parts, body);
    }
    const project = body.Labels?.['com.docker.compose.project'];
    const worker = await placer.forObject({ project, network: true });
    const asked = { method: 'POST', path: ctx.originalUrl, body };
    // What is wrong with such a name, the worker says.
    if (name === '' || isPredefined('network', name)) return reply(ctx, await client.ask(worker, asked));
    if (!(await placements.reserve({ kind: 'network', name, worker: worker.name, project }))) {
      const holder = await objects.find('network', name);
      if (holder && (await stillThere(parts, holder.worker, name))) {
        throw conflict(`network with name ${name} already exists`);
      }
      if (holder?.id) await placements.forget('network', holder.id);
      if (!(await placements.reserve({ kind: 'network', name, worker: worker.name, project }))) {
        throw conflict(`network with name ${name} already exists`);
      }
    }
    try {
      const answer = await client.ask(worker, asked);
      if (answer.status === 201) await placements.confirm('network', name, answer.body.Id);
      reply(ctx, answer);
    } finally {
      await placements.release('network', name);
    }
  });

  router.post('/networks/prune', async (ctx) => {
    const answers = await askAll(ctx, parts, { patience: 0 });
    if (!answers) return;
    const own = answers.flatMap(({ body }) => (body.NetworksDeleted ?? []) as string[]);
    const names = [...own, ...(await pruneOverlays(parts, filtersQuery(ctx)))];
    ctx.body = { NetworksDeleted: names.length > 0 ? names : null };
  });

  router.post(/^\/networks\/([^/]+)\/(?:connect|disconnect)$/, async (ctx) => {
    const body = ((await readJson(ctx)) ?? {}) as { Container?: unknown };
    const reference = referenceOf(ctx);
    const container = typeof body.Container === 'string' ? body.Container : '';
    const overlay = await overlayOf(parts, reference);
    if (overlay) return await changeOverlay(ctx, parts, overlay, body);
    const owner = await objects.workerOf('container', container);
    const network = isPredefined('network', reference) ? owner : await objects.workerOf('network', reference);
    if (network.name !== owner.name) {
      throw conflict(
        `container ${container} is on worker ${owner.name}, network ${reference} is on worker ${network.name}`,
      );
    }
    await placements.markUsed('network', reference);
    reply(ctx, await client.ask(owner, { method: 'POST', path: ctx.originalUrl, body }));
  });

  router.delete(/^\/networks\/([^/]+)$/, async (ctx) => {
    const overlay = await overlayOf(parts, referenceOf(ctx));
    if (overlay) return await removeOverlay(ctx, parts, overlay);
    const worker = await networkWorker(ctx, parts);
    const found = await objects.find('network', referenceOf(ctx));
    await pass(ctx, parts, worker);
    if (found?.id && ctx.res.statusCode < 300) await placements.forget('network', found.id);
  });

  router.all(/^\/networks\/([^/]+)$/, async (ctx) => {
    const overlay = await overlayOf(parts, referenceOf(ctx));
    if (overlay) return await inspectOverlay(ctx, parts, overlay);
    await pass(ctx, parts, await networkWorker(ctx, parts));
  });
}

/** What every worker has is looked at on the first one. */
async function networkWorker(ctx: EngineContext, { objects, workers }: GatewayParts): Promise<LivingWorker> {
  const reference = referenceOf(ctx);
  if (isPredefined('network', reference)) return (await workers.some())[0]!;
  return await objects.workerOf('network', reference);
}

async function stillThere({ workers, client }: GatewayParts, worker: string, name: string): Promise<boolean> {
  const living = await workers.named(worker).catch(() => undefined);
  if (!living) return true;
  const { status } = await client.ask(living, { path: `/networks/${encodeURIComponent(name)}` });
  return status !== 404;
}

function referenceOf(ctx: EngineContext): string {
  try {
    return decodeURIComponent(ctx.captures?.[0] ?? '');
  } catch (cause) {
    throw notFound(`network ${ctx.captures?.[0]} not found`, { cause });
  }
}
