import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { unavailable } from '#errors/errors.ts';
import { Agent } from '#pool/agent/agent.ts';
import type { Attempt, Made } from '#pool/agent/job-runner.ts';
import { JobChangesRepository } from '#pool/jobs/changes-repository.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import { Contexts } from '#pool/jobs/contexts.ts';
import { ContextsRepository } from '#pool/jobs/contexts-repository.ts';
import { DatabaseJobQueue } from '#pool/jobs/database-job-queue.ts';
import { DueRepository } from '#pool/jobs/due-repository.ts';
import type { Claimant, Job, NewJob } from '#pool/jobs/job.ts';
import { JobLogRepository } from '#pool/jobs/job-log-repository.ts';
import { JobLogs } from '#pool/jobs/job-logs.ts';
import type { JobQueue, Publication } from '#pool/jobs/job-queue.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { Publisher } from '#pool/jobs/publisher.ts';
import { PublishingRepository } from '#pool/jobs/publishing-repository.ts';
import { RequirementsRepository } from '#pool/jobs/requirements-repository.ts';
import { Summons } from '#pool/jobs/summons.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { newJob, OFFER } from './fixtures.ts';

/** Bytes of a job's log that are kept. */
export const MAX_LOG = 300_000;

/** A pool whose jobs are whatever a test says. */
export class AgentPool {
  readonly jobs: JobsRepository;
  readonly changes: JobChangesRepository;
  readonly claims: ClaimsRepository;
  readonly due: DueRepository;
  readonly leases: WorkerLeasesRepository;
  readonly content = new MemoryContentStore();
  readonly logs: JobLogs;
  readonly publisher: Publisher;
  readonly requirements: RequirementsRepository;
  readonly summons: Summons;
  /** The names that were given. */
  readonly given: Publication[] = [];
  /** Names that registries did not take. */
  refused = 0;
  /** Whether registries take names. */
  registry: 'up' | 'down' = 'up';
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
    this.jobs = new JobsRepository(db);
    this.changes = new JobChangesRepository(db);
    this.claims = new ClaimsRepository(db);
    this.due = new DueRepository(db);
    this.leases = new WorkerLeasesRepository(db);
    this.requirements = new RequirementsRepository(db);
    this.summons = new Summons(this);
    this.logs = new JobLogs({ rows: new JobLogRepository(db), content: this.content });
    this.publisher = new Publisher({
      rows: new PublishingRepository(db),
      names: {
        give: async (publication) => {
          if (this.registry === 'down') {
            this.refused++;
            throw unavailable('no registry answers');
          }
          this.given.push(publication);
        },
      },
      ended: (id) => this.logs.settle(id),
    });
  }

  static async open(db: PoolDatabase): Promise<AgentPool> {
    const tenants = new TenantsRepository(db);
    for (const name of ['a', 'b']) await tenants.ensure(name);
    return new AgentPool(db);
  }

  queue(): DatabaseJobQueue {
    const { jobs: rows, claims, requirements, logs, publisher, summons } = this;
    const contexts = new Contexts(
      { rows: new ContextsRepository(this.#db), content: this.content },
      { maxBytes: 1000 },
    );
    const ended = (id: string) => logs.settle(id);
    const tenants = async () => new Map();
    return new DatabaseJobQueue({
      rows,
      claims,
      requirements,
      tenants,
      logs,
      contexts,
      publisher,
      summons,
      ended,
    });
  }

  worker(name: string, duration = 60_000): Promise<Claimant> {
    return this.leases.acquire({ name, address: 'unix:///w', offer: OFFER }, duration);
  }

  agent(
    claimant: Claimant,
    slots: number,
    run: (attempt: Attempt) => Promise<Made>,
    queue: JobQueue = this.queue(),
  ): Agent {
    return new Agent(
      {
        queue,
        runners: new Map([['run', { run }]]),
        claimant: () => claimant,
        log: pino({ enabled: false }),
      },
      { slots, maxLogBytes: MAX_LOG },
    );
  }

  async add(tenant: string, name: string, changes: Partial<NewJob> = {}): Promise<string> {
    const { job } = await this.jobs.enqueue(newJob({ tenant, name, spec: name, ...changes }));
    this.summons.queued();
    return job.id;
  }

  /** Once it is in one of these states. */
  async until(id: string, ...states: Job['state'][]): Promise<Job> {
    for (;;) {
      const job = await this.jobs.get(id);
      if (states.includes(job.state)) return job;
      await sleep(10);
    }
  }

  async log(id: string): Promise<string> {
    const bytes = await Array.fromAsync(this.logs.read(id, 0));
    return Buffer.concat(bytes).toString();
  }
}
