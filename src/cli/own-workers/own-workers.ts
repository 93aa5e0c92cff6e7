import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '#config/schema.ts';
import { openPoolDatabase } from '#database/pool/open.ts';
import { Enrolment } from '#pool/workers/enrolment.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { MAX_WORKERS } from '../arguments.ts';
import { poolDatabaseOptions } from '../pool/database.ts';
import { Refusal } from '../refusal.ts';
import type { WorkerNamespace, WorkerNamespaces } from './namespaces.ts';

/** How long a worker has to join with its token, in milliseconds. */
const TOKEN_LIFE = 10 * 60_000;

interface OwnWorker {
  readonly title: string;
  readonly flags: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly startWith?: WorkerNamespace['start'];
}

/**
 * Several workers of one machine, in the pool of a gateway that serves here: each in a network namespace of its own, if
 * there are any, with folders and subnets of its own, the n-th of sixteen parts, and a token, if it did not join before.
 */
export async function ownWorkers(
  config: Config,
  count: number,
  namespaces: WorkerNamespaces | undefined,
): Promise<OwnWorker[]> {
  const db = await openPoolDatabase(await poolDatabaseOptions(config));
  try {
    const enrolment = await Enrolment.open(new MembershipRepository(db), {
      life: config.pool.certificateLife,
    });
    const workers: OwnWorker[] = [];
    for (let n = 1; n <= count; n++) {
      const own = await namespaces?.ensure(n);
      const settings = {
        ...settingsOf(config, n),
        ...(own && { 'worker.overlay.address': own.address }),
      };
      const hasJoined = existsSync(join(settings.dataDir, 'worker', 'pool', 'certificate.pem'));
      const token = hasJoined ? undefined : (await enrolment.createToken(TOKEN_LIFE)).text;
      workers.push({
        title: `worker-${n}`,
        flags: Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
        ...(own && { startWith: own.start }),
        // Not on the command line, which everybody can read.
        env: token === undefined ? {} : { SLIPWAY_WORKER_POOL_TOKEN: token },
      });
    }
    return workers;
  } finally {
    await db.destroy();
  }
}

function settingsOf(config: Config, n: number): { dataDir: string } & Record<string, string> {
  const { network } = config.worker;
  const runDir = join(config.runDir, `worker-${n}`);
  const pools = network.addressPools.map(({ base, size }) => `{ base: ${part(base, n)}, size: ${size} }`);
  return {
    dataDir: join(config.dataDir, `worker-${n}`),
    runDir,
    'worker.listen': `unix://${join(runDir, 'docker.sock')}`,
    'worker.buildkit.listen': '[]',
    'worker.monitoring.listen': 'null',
    'worker.pool.join': config.gateway.workers.listen ?? `unix://${join(config.runDir, 'pool.sock')}`,
    'worker.pool.name': `worker-${n}`,
    // The whole pool stops with it.
    'worker.pool.drainTimeout': '0s',
    'worker.network.defaultBridge.name': `${network.defaultBridge.name.slice(0, 12)}-${n}`,
    'worker.network.defaultBridge.subnet': part(network.defaultBridge.subnet, n),
    'worker.network.addressPools': `[${pools.join(', ')}]`,
    'worker.tenants.subnet': part(config.worker.tenants.subnet, n),
  };
}

/** The n-th of sixteen parts of an IPv4 subnet. Throws `Refusal`. */
export function part(subnet: string, n: number): string {
  const bits = Math.log2(MAX_WORKERS);
  const [, address, length] = /^(\d+\.\d+\.\d+\.\d+)\/(\d+)$/.exec(subnet) ?? [];
  if (address === undefined || Number(length) + bits > 28) {
    throw new Refusal(`--workers: ${subnet} cannot be parted: expected an IPv4 subnet of /24 or larger`);
  }
  const size = 2 ** (32 - Number(length) - bits);
  const start = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0) + (n - 1) * size;
  const octets = [24, 16, 8, 0].map((shift) => Math.floor(start / 2 ** shift) % 256);
  return `${octets.join('.')}/${Number(length) + bits}`;
}
