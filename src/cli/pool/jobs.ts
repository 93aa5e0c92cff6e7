import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import type { ContentStore } from '#content/content-store.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import type { DatabaseOptions } from '#database/open.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { PostgresListener } from '#database/postgres-listener.ts';
import { inTransaction } from '#database/transaction.ts';
import type { Credentials } from '#distribution/authorizer.ts';
import type { Registries } from '#distribution/registries.ts';
import { RegistryHosts } from '#distribution/registry-hosts.ts';
import { DeliveriesRepository } from '#pool/hooks/deliveries-repository.ts';
import { Hooks } from '#pool/hooks/hooks.ts';
import { HooksRepository } from '#pool/hooks/hooks-repository.ts';
import { TenantHooks } from '#pool/hooks/tenant-hooks.ts';
import { hookOperations } from '#pool/http/hook-operations.ts';
import { jobOperations } from '#pool/http/job-operations.ts';
import { readSubmission } from '#pool/http/job-shapes.ts';
import { tenantOperations } from '#pool/http/tenant-operations.ts';
import { triggerOperations } from '#pool/http/trigger-operations.ts';
import { JOBS_CHANNEL, type JobsNews } from '#pool/jobs/admission-repository.ts';
import { JobChangesRepository } from '#pool/jobs/changes-repository.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import { Contexts } from '#pool/jobs/contexts.ts';
import { ContextsRepository } from '#pool/jobs/contexts-repository.ts';
import { DatabaseJobQueue } from '#pool/jobs/database-job-queue.ts';
import { DueRepository } from '#pool/jobs/due-repository.ts';
import { Housekeeping } from '#pool/jobs/housekeeping.ts';
import { type Claimant, DEFAULT_TENANT } from '#pool/jobs/job.ts';
import { JobLogRepository } from '#pool/jobs/job-log-repository.ts';
import { JobLogs } from '#pool/jobs/job-logs.ts';
import { Jobs } from '#pool/jobs/jobs.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { Publisher } from '#pool/jobs/publisher.ts';
import { PublishingRepository } from '#pool/jobs/publishing-repository.ts';
import { RegistryNames } from '#pool/jobs/registry-names.ts';
import { RequirementsRepository } from '#pool/jobs/requirements-repository.ts';
import { Summons } from '#pool/jobs/summons.ts';
import { TenantJobs } from '#pool/jobs/tenant-jobs.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { TenantAccessRepository } from '#pool/tenants/tenant-access-repository.ts';
import type { TenantIdentity } from '#pool/tenants/tenant-header.ts';
import { TenantRules } from '#pool/tenants/tenant-rules.ts';
import { RegistryDigests } from '#pool/triggers/registry-digests.ts';
import { TenantRegistries } from '#pool/triggers/tenant-registries.ts';
import { TenantTriggers } from '#pool/triggers/tenant-triggers.ts';
import { Triggers } from '#pool/triggers/triggers.ts';
import { TriggersRepository } from '#pool/triggers/triggers-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { TargetPolicy } from '#webhooks/target-policy.ts';
import { openContentStorage } from '../storage/content-storage.ts';

interface Ports {
  readonly db: PoolDatabase;
  /** Where `db` is, to listen there. */
  readonly database: DatabaseOptions;
  readonly registries: Registries;
  /** Without a tenant: the pool's own. */
  readonly credentials: (domain: string, tenant?: string) => Promise<Credentials | undefined>;
  readonly log: Logger;
}

export type PoolJobs = Awaited<ReturnType<typeof createPoolJobs>>;

/** The queue of jobs, wired to the pool's database: for the process that serves its API. `closing` takes what is to be closed. */
export async function createPoolJobs(
  { db, database, registries, credentials, log }: Ports,
  config: Config,
  closing: AsyncDisposableStack,
) {
  const content = await jobContent(config, closing);
  const requirements = new RequirementsRepository(db);
  const summons = closing.use(new Summons({ requirements }));
  if (database.driver === 'postgres') {
    closing.use(new PostgresListener(database, JOBS_CHANNEL, (said) => hear(summons, said)));
  }
  const leases = new WorkerLeasesRepository(db);
  const claims = new ClaimsRepository(db);
  const changes = new JobChangesRepository(db);
  const rows = new JobsRepository(db);
  const tenants = new TenantsRepository(db);
  const access = new TenantAccessRepository(db);
  const logs = new JobLogs({ rows: new JobLogRepository(db), content });
  const contexts = new Contexts(
    { rows: new ContextsRepository(db), content },
    { maxBytes: config.pool.jobs.maxContext },
  );
  const ended = (id: string) => logs.settle(id);
  const publisher = new Publisher({
    rows: new PublishingRepository(db),
    names: new RegistryNames({ registries, credentials }),
    ended,
  });
  const jobs = new Jobs({ rows, changes, logs, contexts, summons });
  await tenants.ensure(DEFAULT_TENANT);
  const confinedTargets = new TargetPolicy({
    allowed: config.pool.jobs.tenantWebhookNetworks,
    setting: 'pool.jobs.tenantWebhookNetworks',
  });
  const triggers = new Triggers({
    rows: new TriggersRepository(db),
    jobs,
    digests: new RegistryDigests({
      registries,
      credentials,
      ofTenants: new TenantRegistries({
        hosts: new RegistryHosts({ insecure: config.worker.insecureRegistries }),
        targets: confinedTargets,
        access,
      }),
    }),
    rules: new TenantRules({ jobs, access }),
    read: readSubmission,
  });
  const hooks = new Hooks({
    hooks: new HooksRepository(db),
    deliveries: new DeliveriesRepository(db),
    targets: new TargetPolicy({
      allowed: config.pool.jobs.webhookNetworks,
      setting: 'pool.jobs.webhookNetworks',
    }),
    confinedTargets,
  });
  const { keep, keepContexts } = config.pool.jobs;
  const due = new DueRepository(db);
  closing.use(
    new Housekeeping(
      { leases, claims, due, changes, publisher, logs, contexts, triggers, hooks, summons, log },
      { keep, keepContexts },
    ),
  );
  return {
    jobs,
    leases,
    summons,
    triggers,
    operations: [
      ...jobOperations({ jobs, logs }),
      ...triggerOperations(triggers),
      ...hookOperations(hooks),
      ...tenantOperations(tenants),
    ],
    /** For the clients of a tenant. */
    forTenant(identity: () => TenantIdentity) {
      const own = new TenantJobs(jobs, identity);
      return {
        jobs: own,
        operations: [
          ...jobOperations({ jobs: own, logs }),
          ...triggerOperations(new TenantTriggers(triggers, identity)),
          ...hookOperations(new TenantHooks(hooks, identity)),
        ],
      };
    },
    /** Has what a lease that is over was at done by others. */
    release: (lost: Claimant) => inTransaction(db, (trx) => claims.release(trx, lost)),
    /** For one agent. */
    queue: () =>
      new DatabaseJobQueue({
        rows,
        claims,
        requirements,
        tenants: (names) => access.identities(names),
        logs,
        contexts,
        publisher,
        summons,
        ended,
        refused: ({ id: job, attempt }, { worker, epoch }) =>
          log.info(
            { job, attempt, worker, epoch },
            'what a worker said of a job that is not its own was not heard',
          ),
      }),
  };
}

function hear(summons: Summons, said: string | undefined): void {
  // What was said while nobody listened may have been anything.
  if (said === ('queued' satisfies JobsNews)) summons.queued();
  else summons.changed();
}

async function jobContent(config: Config, closing: AsyncDisposableStack): Promise<ContentStore> {
  const directory = join(config.dataDir, 'pool', 'jobs');
  if (config.pool.jobs.storage === 'filesystem') return new FilesystemContentStore(directory);
  const { storage } = config.registry;
  const prefix = storage.s3.prefix === '' ? 'jobs' : `${storage.s3.prefix}/jobs`;
  const s3 = { ...storage, driver: 's3' as const, s3: { ...storage.s3, prefix } };
  return closing.use(await openContentStorage({ ...config, registry: { storage: s3 } })).content;
}
