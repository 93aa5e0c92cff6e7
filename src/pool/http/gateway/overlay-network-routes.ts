import { conflict, isKind, notFound } from '#errors/errors.ts';
import { givenJson, readJson } from '#worker/http/body.ts';
import { networkListFilter, networkPruneFilter } from '#worker/http/networks-routes.ts';
import { createNetworkBody, createNetworkRequest } from '#worker/http/networks-shapes.ts';
import type { EngineContext } from '#worker/http/router.ts';
import type { Network } from '#worker/networks/network.ts';
import { POOL_ITSELF } from '../../overlay/overlay-networks-repository.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { overlayInspection, overlayShape } from './overlay-shapes.ts';
import { reply } from './pass.ts';

/** The overlay network that a reference names; undefined when it names none, or another network. */
export async function overlayOf(
  { objects, overlays }: Pick<GatewayParts, 'objects' | 'overlays'>,
  reference: string,
): Promise<Network | undefined> {
  const found = await objects.find('network', reference);
  if (found?.worker !== POOL_ITSELF || found.id === null) return undefined;
  return await overlays.find(found.id);
}

/** `POST /networks/create` with the driver `overlay`. */
export async function createOverlay(ctx: EngineContext, parts: GatewayParts, body: unknown): Promise<void> {
  givenJson(ctx, body);
  const request = createNetworkRequest(await readJson(ctx, createNetworkBody));
  const network = await parts.overlays.create(request);
  ctx.status = 201;
  ctx.body = { Id: network.id, Warning: '' };
}

export async function inspectOverlay(
  ctx: EngineContext,
  { overlays }: GatewayParts,
  network: Network,
): Promise<void> {
  const state = await overlays.state(network.id);
  if (!state) throw notFound(`network ${network.name} not found`);
  ctx.body = overlayInspection(state);
}

export async function removeOverlay(
  ctx: EngineContext,
  { overlays }: GatewayParts,
  network: Network,
): Promise<void> {
  await overlays.remove(network);
  ctx.status = 204;
}

/** Connects a container, wherever it is, or takes it off. */
export async function changeOverlay(
  ctx: EngineContext,
  { objects, client, overlays }: GatewayParts,
  network: Network,
  body: { Container?: unknown; Force?: unknown },
): Promise<void> {
  const reference = typeof body.Container === 'string' ? body.Container : '';
  try {
    const owner = await objects.workerOf('container', reference);
    reply(ctx, await client.ask(owner, { method: 'POST', path: ctx.originalUrl, body }));
  } catch (error) {
    if (!isKind(error, 'unavailable') || body.Force !== true || !ctx.path.endsWith('/disconnect'))
      throw error;
    const container = await objects.find('container', reference);
    if (!container?.id || !(await overlays.forceLeave(network.id, container.id))) {
      throw conflict(`container ${reference} is not connected to network ${network.name}`, { cause: error });
    }
    ctx.body = '';
  }
}

/** Overlay networks for a list. */
export async function listedOverlays(
  { overlays }: GatewayParts,
  filters: ReadonlyMap<string, readonly string[]>,
): Promise<{ Name: string; Id: string }[]> {
  const selects = networkListFilter(filters);
  const unused = new Set((await overlays.unused()).map(({ id }) => id));
  return (await overlays.list())
    .filter((network) => selects({ network, endpoints: unused.has(network.id) ? [] : ['somebody'] }))
    .map(overlayShape);
}

/** Removes those that nobody is on; answers their names. */
export async function pruneOverlays(
  { overlays }: GatewayParts,
  filters: ReadonlyMap<string, readonly string[]>,
): Promise<string[]> {
  const selects = networkPruneFilter(filters);
  const pruned: string[] = [];
  for (const network of await overlays.unused()) {
    if (!selects(network)) continue;
    try {
      await overlays.remove(network);
      pruned.push(network.name);
    } catch (error) {
      if (!isKind(error, 'forbidden')) throw error;
    }
  }
  return pruned;
}
