import { cpus, hostname, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { parseListenAddress } from '#config/address.ts';
import type { Config } from '#config/schema.ts';
import { openPoolDatabase } from '#database/pool/open.ts';
import type { Credentials } from '#distribution/authorizer.ts';
import type { Registries } from '#distribution/registries.ts';
import { formatPlatform, hostPlatform } from '#oci/platform.ts';
import { Agent } from '#pool/agent/agent.ts';
import { ArtifactPusher } from '#pool/agent/artifact-pusher.ts';
import { BuildRunner } from '#pool/agent/build-runner.ts';
import { ConfinedRunner } from '#pool/agent/confined-runner.ts';
import { EngineApi } from '#pool/agent/engine-api.ts';
import type { JobRunner } from '#pool/agent/job-runner.ts';
import { removeLeftovers } from '#pool/agent/leftovers.ts';
import { RunRunner } from '#pool/agent/run-runner.ts';
import { type Claimant, CONFINED } from '#pool/jobs/job.ts';
import type { JobQueue } from '#pool/jobs/job-queue.ts';
import {
  generationOf,
  TENANT_HEADER,
  type TenantIdentity,
  writeTenant,
} from '#pool/tenants/tenant-header.ts';
import { OwnLease } from '#pool/workers/own-lease.ts';
import { BuildClient } from '#worker/buildkit/client/build-client.ts';
import { PlainProgress } from '../build/plain-progress.ts';
import { engineAddress } from '../build/worker-api.ts';
import { poolDatabaseOptions } from '../pool/database.ts';
import { jobCredentials } from '../pool/job-credentials.ts';
import { createPoolJobs } from '../pool/jobs.ts';
import type { TenantEngines } from './tenant-engines.ts';

interface Ports {
  readonly registries: Registries;
  readonly log: Logger;
}

/** The queue of a worker that is a pool by itself. Call `start` once the worker answers. */
export async function createOwnJobs(
  { registries, log }: Ports,
  config: Config,
  closing: AsyncDisposableStack,
) {
  const database = await poolDatabaseOptions(config);
  const db = await openPoolDatabase(database);
  closing.defer(() => db.destroy());
  const credentials = jobCredentials(config);
  const pool = await createPoolJobs({ db, database, registries, credentials, log }, config, closing);
  const [address] = config.worker.listen;
  const lease = new OwnLease(
    { leases: pool.leases, release: pool.release, log },
    { worker: { name: hostname(), address: address!, offer: offerOf(config) }, duration: config.pool.lease },
  );
  closing.use(lease);
  return {
    jobs: pool.jobs,
    triggers: pool.triggers,
    operations: pool.operations,
    async start() {
      await lease.start();
      const claimant = () => lease.claimant;
      closing.use(await startAgent({ queue: pool.queue(), claimant, registries, log }, config));
    },
  };
}

/** Does the jobs of a queue on this worker, by its own API on the first address that it listens on. */
export async function startAgent(
  ports: Ports & {
    readonly queue: JobQueue;
    readonly claimant: () => Claimant | undefined;
    /** Of a worker that has any. */
    readonly tenants?: TenantEngines | undefined;
  },
  config: Config,
): Promise<Agent> {
  const { queue, claimant, tenants, log } = ports;
  const { slots, maxLog } = config.pool.jobs;
  for (const { engine } of [undefined, ...(tenants?.list() ?? [])].map((it) => runners(ports, config, it))) {
    await removeLeftovers(engine);
  }
  const own = runners(ports, config);
  const confined = (kind: 'build' | 'run') =>
    new ConfinedRunner(kind, async (tenant) => {
      await tenants!.of(tenant);
      return runners(ports, config, tenant)[kind];
    });
  return new Agent(
    {
      queue,
      runners: new Map<string, JobRunner>([
        ['build', own.build],
        ['run', own.run],
        ...(tenants
          ? ([
              [`${CONFINED}build`, confined('build')],
              [`${CONFINED}run`, confined('run')],
            ] as const)
          : []),
      ]),
      claimant,
      log,
    },
    { slots, maxLogBytes: maxLog },
  );
}

/** What does jobs in the worker's own engine, or a tenant's, and with whose accounts. */
function runners(
  { registries, log, tenants }: Ports & { tenants?: TenantEngines | undefined },
  config: Config,
  tenant?: TenantIdentity,
) {
  const ofAll = jobCredentials(config);
  const credentials = (domain: string) => ofAll(domain, tenant?.name);
  const address = engineAddress(parseListenAddress(config.worker.listen[0]!)!);
  // The policy as this worker heard of it last: it may have changed since the job was claimed.
  const headers = (): Readonly<Record<string, string>> => {
    if (!tenant) return {};
    const known = tenants?.list().find(({ name }) => name === tenant.name);
    const isSame = known && generationOf(known) === generationOf(tenant);
    return { [TENANT_HEADER]: writeTenant(isSame ? known : tenant) };
  };
  const engine = new EngineApi(address, headers);
  const { maxArtifact } = config.pool.jobs;
  const artifacts = new ArtifactPusher(
    { registries, credentials },
    { directory: join(config.dataDir, 'worker', 'artifacts'), maxBytes: maxArtifact },
  );
  const build = new BuildRunner({
    client: new BuildClient({ address, headers, log }),
    credentials,
    progress: (write) => new PlainProgress(write),
  });
  const registryAuth = async (domain: string) => headerOf(await credentials(domain));
  return { engine, build, run: new RunRunner({ engine, artifacts, registryAuth }) };
}

function offerOf(config: Config) {
  const labels = Object.fromEntries(
    config.worker.pool.labels.map((label) => {
      const at = label.indexOf('=');
      return [label.slice(0, at), label.slice(at + 1)];
    }),
  );
  return {
    platforms: [formatPlatform(hostPlatform())],
    labels,
    cpus: cpus().length,
    memory: totalmem(),
  };
}

function headerOf(credentials: Credentials | undefined): string | undefined {
  if (!credentials) return undefined;
  const { username, password, identityToken: identitytoken } = credentials;
  return Buffer.from(JSON.stringify({ username, password, identitytoken })).toString('base64url');
}
