import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { Wakes } from '#async/wakes.ts';
import type { Claimant } from '../jobs/job.ts';
import type { OverlayEndpointsRepository } from '../overlay/overlay-endpoints-repository.ts';
import { newsOf } from '../overlay/overlays.ts';
import { TENANT_NAME } from '../tenants/tenant-header.ts';
import type { WorkerLeasesRepository } from '../workers/worker-leases-repository.ts';
import { holderOf } from './lease-holder.ts';
import { parseBody } from './worker-server.ts';

/** Where workers ask: each request is one of a worker that is known by its certificate. */
interface WorkerRoutes {
  authenticate(req: IncomingMessage): Promise<Claimant>;
  route(path: string, task: (req: IncomingMessage, body: unknown) => Promise<unknown>): void;
}

interface Ports {
  readonly leases: WorkerLeasesRepository;
  readonly wakes: Wakes;
  /** The networks of a tenant, or of the operator (''). */
  readonly networksOf: (tenant: string) => AskedNetworks;
}

interface AskedNetworks {
  readonly endpoints: OverlayEndpointsRepository;
  /** By ID or name. */
  readonly find: (reference: string) => Promise<unknown>;
}

/** On each request: whose engine asks; the operator's says nothing. */
const whose = z.object({ tenant: z.string().regex(TENANT_NAME).default('') });

const id = z.string().min(1).max(256);
const ipv4 = z.ipv4();
const mac = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
const wish = z.strictObject({
  networkId: id,
  containerId: id,
  endpointId: id,
  containerName: id,
  names: z.array(z.string().max(256)).max(256),
  ipv4Address: ipv4.optional(),
  macAddress: mac.optional(),
});
const endpoint = wish.required();
const self = z.strictObject({
  address: ipv4,
  publicKey: z.base64().length(44).nullable(),
  wireguardPort: z.int().min(1).max(65_535).nullable(),
});

/** What `GatewayOverlayLink` asks for. */
export function overlayRoutes(workers: WorkerRoutes, { leases, wakes, networksOf }: Ports): void {
  type Task<T> = (worker: string, body: T, networks: AskedNetworks) => Promise<unknown>;
  const on = <T>(what: string, shape: z.ZodType<T>, task: Task<T>) =>
    workers.route(`POST /overlay/${what}`, async (req, given) => {
      const { tenant } = parseBody(whose, given);
      const { tenant: _, ...body } = given as Record<string, unknown>;
      const { name: worker } = await holderOf(leases, await workers.authenticate(req));
      return await task(worker, parseBody(shape, body), networksOf(tenant));
    });

  on('network', z.strictObject({ reference: id }), async (_worker, { reference }, { find }) => ({
    network: await find(reference),
  }));
  on('join', wish, async (worker, asked, { endpoints }) => {
    await endpoints.join(worker, asked as Parameters<OverlayEndpointsRepository['join']>[1]);
    wakes.wake();
    return { state: (await endpoints.states([asked.networkId]))[0] };
  });
  on('leave', z.strictObject({ networkId: id, containerId: id }), async (worker, asked, { endpoints }) => {
    await endpoints.leave(worker, asked.networkId, asked.containerId);
    wakes.wake();
  });
  on('rename', endpoint, async (worker, asked, { endpoints }) => {
    await endpoints.rename(worker, asked);
    wakes.wake();
  });
  const all = z.strictObject({ self, endpoints: z.array(endpoint).max(65_536) });
  on('sync', all, async (worker, asked, { endpoints }) => {
    const refused = await endpoints.sync(worker, asked.self, asked.endpoints);
    wakes.wake();
    return { refused };
  });
  const news = z.strictObject({ networkIds: z.array(id).max(4_096), tag: z.string().max(100).optional() });
  on('news', news, (_worker, asked, { endpoints }) =>
    newsOf({ endpoints, wakes }, asked.networkIds, asked.tag),
  );
}
