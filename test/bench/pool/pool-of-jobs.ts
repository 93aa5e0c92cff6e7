import { pino } from 'pino';
import { createPoolJobs, type PoolJobs } from '#cli/pool/jobs.ts';
import { loadConfig } from '#config/load.ts';
import { openPoolDatabase } from '#database/pool/open.ts';
import { HttpTransport } from '#distribution/http-transport.ts';
import { Registries } from '#distribution/registries.ts';
import { RegistryHosts } from '#distribution/registry-hosts.ts';
import { Agent } from '#pool/agent/agent.ts';
import type { Attempt } from '#pool/agent/job-runner.ts';
import { postgresOptions } from '../../database/registry-databases.ts';

export const silent = pino({ enabled: false });

interface Place {
  /** Of a database of PostgreSQL. */
  readonly url: string;
  readonly dataDir: string;
  readonly closing: AsyncDisposableStack;
}

/** The jobs of a pool, as one process has them: two of these are two processes, as far as the queue can tell. */
export async function openPoolJobs({ url, dataDir, closing }: Place): Promise<PoolJobs> {
  const config = { ...loadConfig({ environment: {} }), dataDir };
  const database = postgresOptions(url);
  const db = await openPoolDatabase(database);
  closing.defer(() => db.destroy());
  const registries = new Registries({
    transport: closing.use(new HttpTransport()),
    hosts: new RegistryHosts(),
  });
  const ports = { db, database, registries, credentials: async () => undefined, log: silent };
  return await createPoolJobs(ports, config, closing);
}

/** A worker that has nothing to do but to begin jobs. */
export async function startIdleAgent(
  pool: PoolJobs,
  {
    name,
    began,
    closing,
  }: { name: string; began: (attempt: Attempt) => void; closing: AsyncDisposableStack },
): Promise<void> {
  const offer = { platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 2 ** 30 };
  const claimant = await pool.leases.acquire({ name, address: 'unix:///w', offer }, 600_000);
  const run = async (attempt: Attempt) => {
    began(attempt);
    return { result: {}, publications: [] };
  };
  const ports = {
    queue: pool.queue(),
    runners: new Map([['run', { run }]]),
    claimant: () => claimant,
    log: silent,
  };
  closing.use(new Agent(ports, { slots: 4, maxLogBytes: 1000 }));
}
