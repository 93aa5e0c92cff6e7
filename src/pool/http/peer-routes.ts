import { z } from 'zod';
import { unauthorized } from '#errors/errors.ts';
import type { Forwarder } from '../gateway/forward.ts';
import type { Workers } from '../gateway/workers.ts';
import { runsNatively } from '../scheduler/fit-for-platforms.ts';
import { weightOf } from '../scheduler/weight-of.ts';
import { TENANT_NAME } from '../tenants/tenant-header.ts';
import { parseBody, type WorkerServer } from './worker-server.ts';

const word = z.string().min(1).max(512);
const wish = z.strictObject({
  platform: z.string().min(1).max(100),
  affinity: z.string().max(512),
  without: z.array(word).max(16),
});
const named = z.strictObject({ worker: word });

/** `/peers/worker-2/grpc?tenant=team` */
const PATH = /^\/peers\/([^/?]{1,300})(\/(?:grpc|session))(?:\?tenant=([^&]+))?$/;

interface Ports {
  readonly workers: Workers;
  readonly forwarder: Pick<Forwarder, 'upgrade'>;
  /** The workers as a tenant reaches them, held to its policy as it is. */
  readonly ofTenant: (name: string) => Promise<Workers>;
}

/** What `GatewayPeers` asks for: who is of a platform, and a way to build there what is a step of one's own builds. */
export function peerRoutes(server: WorkerServer, { workers, forwarder, ofTenant }: Ports): void {
  server.route('POST /peers/find', async (req, body) => {
    const { worker: id } = await server.authenticate(req);
    const { platform, affinity, without } = parseBody(wish, body);
    const fitting = (await workers.living()).filter(
      ({ worker, name, state, offer }) =>
        worker !== id &&
        state === 'ready' &&
        !without.includes(name) &&
        runsNatively(offer.platforms, platform),
    );
    const ranked = fitting.toSorted((a, b) => weightOf(affinity, a.name) - weightOf(affinity, b.name));
    return { worker: ranked.at(-1)?.name ?? null };
  });

  server.route('POST /peers/alive', async (req, body) => {
    await server.authenticate(req);
    const { worker } = parseBody(named, body);
    return { alive: (await workers.living()).some(({ name }) => name === worker) };
  });

  server.upgrades(PATH, async ([, worker = '', target = '', tenant], req, socket, head) => {
    await server.authenticate(req);
    const of = tenant === undefined ? workers : await ofTenant(readTenantName(tenant));
    const to = await of.named(decodeURIComponent(worker));
    await forwarder.upgrade(req, socket, head, to, { target });
  });
}

function readTenantName(text: string): string {
  const name = decodeURIComponent(text);
  if (!TENANT_NAME.test(name)) throw unauthorized('there is no such tenant');
  return name;
}
