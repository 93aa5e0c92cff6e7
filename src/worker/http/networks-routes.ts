import { z } from 'zod';
import { invalid, notFound } from '#errors/errors.ts';
import { matchesLabels } from '../containers/list/label-filter.ts';
import { parseMoment } from '../containers/list/moment.ts';
import type { ContainerNetworks } from '../networks/container-networks.ts';
import { isPredefined, type Network } from '../networks/network.ts';
import type { NetworkService } from '../networks/network-service.ts';
import { readJson } from './body.ts';
import { booleanFilter, checkFilters, matchesPattern } from './list-filters.ts';
import {
  connectBody,
  createNetworkBody,
  createNetworkRequest,
  endpointRequest,
  networkShape,
  scopeOf,
} from './networks-shapes.ts';
import { filtersQuery, stringQuery } from './query.ts';
import type { EngineRouter } from './router.ts';

type Filters = ReadonlyMap<string, readonly string[]>;

/** Networks, and who is on them. */
export function networksRoutes(
  router: EngineRouter,
  { networks, containers }: { networks: NetworkService; containers: ContainerNetworks },
): void {
  router.get('/networks', async (ctx) => {
    const selects = networkListFilter(filtersQuery(ctx));
    const found = (await networks.list()).filter(selects);
    ctx.body = found.map((use) => networkShape(use, { containers: false }));
  });

  router.post('/networks/create', async (ctx) => {
    const body = await readJson(ctx, createNetworkBody);
    if (body.Ingress || body.ConfigOnly) throw invalid('this engine has no swarm networks');
    const network = await networks.create(createNetworkRequest(body));
    ctx.status = 201;
    ctx.body = { Id: network.id, Warning: '' };
  });

  router.post('/networks/prune', async (ctx) => {
    const pruned = await networks.prune(networkPruneFilter(filtersQuery(ctx)));
    ctx.body = { NetworksDeleted: pruned.map(({ name }) => name) };
  });

  router.get('/networks/:network', async (ctx) => {
    const reference = ctx.params.network ?? '';
    const scope = stringQuery(ctx, 'scope');
    const use = await networks.inspect(reference);
    if (scope && scope !== scopeOf(use.network)) throw notFound(`network ${reference} not found`);
    ctx.body = networkShape(use, { containers: true });
  });

  router.delete('/networks/:network', async (ctx) => {
    await networks.remove(ctx.params.network ?? '');
    ctx.status = 204;
  });

  router.post('/networks/:network/connect', async (ctx) => {
    const body = await readJson(ctx, connectBody);
    const network = await networks.resolve(ctx.params.network ?? '');
    await containers.connect(body.Container, endpointRequest(network.name, body.EndpointConfig));
    ctx.body = '';
  });

  router.post('/networks/:network/disconnect', async (ctx) => {
    const body = await readJson(
      ctx,
      z.object({ Container: z.string().default(''), Force: z.boolean().nullish() }),
    );
    const { network } = await networks.inspect(ctx.params.network ?? '');
    await containers.disconnect(body.Container, network.name, { force: body.Force ?? false });
    ctx.body = '';
  });
}

/** Throws `invalid`. */
export function networkListFilter(
  filters: Filters,
): (use: { readonly network: Network; readonly endpoints: readonly unknown[] }) => boolean {
  checkFilters(filters, ['name', 'id', 'driver', 'label', 'type', 'scope', 'dangling']);
  const type = filters.get('type')?.[0];
  if (type !== undefined && type !== 'custom' && type !== 'builtin') {
    throw invalid(`invalid filter 'type=${type}'`);
  }
  const dangling = booleanFilter(filters, 'dangling');
  const { drivers, scopes } = { drivers: filters.get('driver'), scopes: filters.get('scope') };
  return ({ network, endpoints }) =>
    matchesPattern(network.name, filters.get('name')) &&
    matchesPattern(network.id, filters.get('id')) &&
    (!drivers?.length || drivers.includes(network.driver)) &&
    (!scopes?.length || scopes.includes(scopeOf(network))) &&
    matchesLabels(network.labels, filters.get('label') ?? []) &&
    (type === undefined || isPredefined(network.name) === (type === 'builtin')) &&
    (dangling === undefined || (!isPredefined(network.name) && endpoints.length === 0) === dangling);
}

/** Throws `invalid`. */
export function networkPruneFilter(filters: Filters): (network: Network) => boolean {
  checkFilters(filters, ['until', 'label', 'label!', 'dangling']);
  const until = filters.get('until')?.[0];
  const before = until === undefined ? Number.POSITIVE_INFINITY : parseMoment(until);
  const unwanted = filters.get('label!') ?? [];
  return ({ createdAt, labels }) =>
    createdAt.getTime() < before &&
    matchesLabels(labels, filters.get('label') ?? []) &&
    (unwanted.length === 0 || !matchesLabels(labels, unwanted));
}
