import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { forbidden, invalid } from '#errors/errors.ts';
import type { Forwarder } from '../gateway/forward.ts';
import type { RunningBuildsRepository } from '../gateway/running-builds-repository.ts';
import type { Workers } from '../gateway/workers.ts';
import { runsNatively } from '../scheduler/fit-for-platforms.ts';
import { weightOf } from '../scheduler/weight-of.ts';
import { TENANT_NAME } from '../tenants/tenant-header.ts';
import type { PoolWorker, WorkerLeasesRepository } from '../workers/worker-leases-repository.ts';
import { holderOf } from './lease-holder.ts';
import { parseBody, type WorkerServer } from './worker-server.ts';

const word = z.string().min(1).max(512);
const wish = z.strictObject({
  platform: z.string().min(1).max(100),
  affinity: z.string().max(512),
  without: z.array(word).max(16),
  /** Whose build it is; the operator's says nothing. */
  tenant: z.string().regex(TENANT_NAME).default(''),
});
const named = z.strictObject({ worker: word });

/** `/peers/worker-2/grpc?tenant=team` */
const PATH = /^\/peers\/([^/?]{1,300})(\/(?:grpc|session))(?:\?tenant=([^&]+))?$/;

interface Ports {
  readonly leases: Pick<WorkerLeasesRepository, 'list'>;
  readonly builds: Pick<RunningBuildsRepository, 'has'>;
  readonly workers: Workers;
  readonly forwarder: Pick<Forwarder, 'upgrade'>;
  /** The workers as a tenant reaches them, held to its policy as it is. Throws `forbidden` for who is none. */
  readonly ofTenant: (name: string) => Promise<Workers>;
}

/**
 * What `GatewayPeers` asks for: who is of a platform, and a way to build there what is a step of one's own builds. In whose
 * name a worker asks is not its word alone: it has a build of theirs, given by the pool.
 */
export function peerRoutes(
  server: WorkerServer,
  { leases, builds, workers, forwarder, ofTenant }: Ports,
): void {
  const holder = async (req: IncomingMessage): Promise<PoolWorker> =>
    await holderOf(leases, await server.authenticate(req));
  const expectBuild = async (worker: PoolWorker, tenant: string): Promise<void> => {
    if (await builds.has(worker, tenant)) return;
    throw forbidden(`the pool gave ${worker.name} no build for which it may ask others`);
  };

  server.route('POST /peers/find', async (req, body) => {
    const asking = await holder(req);
    const { platform, affinity, without, tenant } = parseBody(wish, body);
    await expectBuild(asking, tenant);
    const fitting = (await workers.living()).filter(
      ({ worker, name, state, offer }) =>
        worker !== asking.worker &&
        state === 'ready' &&
        !without.includes(name) &&
        runsNatively(offer.platforms, platform),
    );
    const ranked = fitting.toSorted((a, b) => weightOf(affinity, a.name) - weightOf(affinity, b.name));
    return { worker: ranked.at(-1)?.name ?? null };
  });

  server.route('POST /peers/alive', async (req, body) => {
    await holder(req);
    const { worker } = parseBody(named, body);
    return { alive: (await workers.living()).some(({ name }) => name === worker) };
  });

  server.upgrades(PATH, async ([, worker = '', target = '', asked], req, socket, head) => {
    const asking = await holder(req);
    const tenant = asked === undefined ? '' : readTenantName(asked);
    const to = decoded(worker);
    await expectBuild(asking, tenant);
    const of = tenant === '' ? workers : await ofTenant(tenant);
    await forwarder.upgrade(req, socket, head, await of.named(to), { target });
  });
}

function readTenantName(text: string): string {
  const name = decoded(text);
  if (!TENANT_NAME.test(name)) throw forbidden('there is no such tenant');
  return name;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw invalid(`${JSON.stringify(text)} is no part of a path`, { cause });
  }
}
