import { createHash, randomUUID } from 'node:crypto';
import { invalid } from '#errors/errors.ts';
import type { JobChangesRepository } from './changes-repository.ts';
import type { Contexts } from './contexts.ts';
import type { Job, NewJob } from './job.ts';
import type { JobLogs } from './job-logs.ts';
import type { JobsRepository } from './jobs-repository.ts';
import { inOrder } from './pipeline.ts';
import { type Constraints, requirementOf } from './requirement.ts';
import type { BuildSpec, RunSpec } from './specs.ts';
import type { Summons } from './summons.ts';

/** One job as somebody asks for it. Times are in milliseconds. */
export type JobRequest = { readonly name?: string | undefined } & JobSettings &
  ({ readonly kind: 'build'; readonly build: BuildSpec } | { readonly kind: 'run'; readonly run: RunSpec });

interface JobSettings {
  readonly priority: number;
  readonly attempts: number;
  readonly timeout: number;
  readonly constraints: Constraints;
  /** Of a pipeline: names of its other jobs. Otherwise the ids of jobs. */
  readonly needs: readonly string[];
  readonly dedupKey?: string | undefined;
  readonly notBefore?: number | undefined;
}

/** What is asked for at once: a job, or jobs by their names. */
export type Submission =
  | JobRequest
  | { readonly kind: 'pipeline'; readonly jobs: Readonly<Record<string, JobRequest>> };

/** What came of it. */
export interface Submitted {
  /** The job's, or the pipeline's. */
  readonly id: string;
  readonly jobs: readonly Job[];
  /** False when an unfinished job has the same deduplication key: it is that one. */
  readonly isNew: boolean;
}

interface Ports {
  readonly rows: JobsRepository;
  readonly changes: JobChangesRepository;
  readonly logs: JobLogs;
  readonly contexts: Contexts;
  readonly summons: Pick<Summons, 'queued' | 'changed'>;
}

/** In bytes: what one job may say. */
const MAX_SPEC = 512 * 1024;

/** The pool's jobs, for those who ask for them. */
export class Jobs {
  readonly #ports: Ports;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** Throws `invalid`, and `not-found` for a tenant, a need or a context that is not there. */
  async submit(
    tenant: string,
    submission: Submission,
    { confined = false }: { confined?: boolean } = {},
  ): Promise<Submitted> {
    const { id: pipeline, jobs: asked } = await this.newJobs(tenant, submission);
    const jobs = asked.map((job) => ({ ...job, confined }));
    const added = await this.#ports.rows.enqueueAll(jobs);
    this.wake();
    return {
      id: pipeline ?? added[0]!.job.id,
      jobs: added.map(({ job }) => job),
      isNew: added.some(({ isNew }) => isNew),
    };
  }

  /** What a submission comes to, and the id of the pipeline that it is, if it is one. Throws as `submit`. */
  async newJobs(tenant: string, submission: Submission): Promise<{ id?: string; jobs: NewJob[] }> {
    if (submission.kind !== 'pipeline') return { jobs: [await this.#newJob(tenant, submission)] };
    const { jobs } = submission;
    const order = inOrder(Object.fromEntries(Object.entries(jobs).map(([name, { needs }]) => [name, needs])));
    const pipeline = randomUUID();
    const places = new Map(order.map((name, i) => [name, `#${i}`]));
    const all: NewJob[] = [];
    for (const name of order) {
      const request = jobs[name]!;
      const job = await this.#newJob(tenant, { ...request, name });
      all.push({ ...job, pipeline, needs: request.needs.map((need) => places.get(need)!) });
    }
    return { id: pipeline, jobs: all };
  }

  /** Jobs were added: workers look. */
  wake(): void {
    this.#ports.summons.queued();
  }

  /** The job of this id, or those of this pipeline. Throws `not-found`. */
  find(id: string): Promise<Job[]> {
    return this.#ports.rows.find(id);
  }

  list(...options: Parameters<JobsRepository['list']>): Promise<Job[]> {
    return this.#ports.rows.list(...options);
  }

  /** How many a tenant has asked for that are not over. */
  countOpen(tenant: string): Promise<number> {
    return this.#ports.rows.countOpen(tenant);
  }

  /** How many are before it; undefined when it does not wait for a worker. */
  ahead(id: string): Promise<number | undefined> {
    return this.#ports.rows.ahead(id);
  }

  async cancel(id: string): Promise<void> {
    await this.#ports.changes.cancel(id, 'canceled');
    this.#ports.summons.changed();
  }

  async retry(id: string): Promise<void> {
    await this.#ports.changes.retry(id);
    this.wake();
  }

  async remove(id: string): Promise<void> {
    await this.#ports.logs.forget(await this.#ports.changes.remove(id));
  }

  addContext(tenant: string, source: AsyncIterable<Uint8Array>): Promise<{ digest: string; size: number }> {
    return this.#ports.contexts.add(tenant, source);
  }

  async #newJob(tenant: string, request: JobRequest): Promise<NewJob> {
    const spec = request.kind === 'build' ? request.build : request.run;
    const size = Buffer.byteLength(JSON.stringify(spec));
    if (size > MAX_SPEC) throw invalid(`a job may say ${MAX_SPEC} bytes, this one says ${size}`);
    if (request.kind === 'build' && 'upload' in request.build.context) {
      await this.#ports.contexts.require(tenant, request.build.context.upload);
    }
    const { priority, attempts, timeout, needs, dedupKey, notBefore } = request;
    return {
      tenant,
      name: request.name ?? nameOf(request),
      kind: request.kind,
      spec,
      requirement: requirementOf(request.constraints),
      affinity: affinityOf(tenant, request),
      priority,
      maxAttempts: attempts,
      timeout,
      needs,
      dedupKey,
      notBefore,
    };
  }
}

/** Builds of one repository stand on the same caches, whatever the commit. */
function affinityOf(tenant: string, request: JobRequest): string | undefined {
  if (request.kind !== 'build' || !('url' in request.build.context)) return undefined;
  const [repository] = request.build.context.url.split('#');
  const { file = '', target = '' } = request.build;
  return createHash('sha256')
    .update(JSON.stringify([tenant, repository, file, target]))
    .digest('base64url');
}

function nameOf(request: JobRequest): string {
  if (request.kind === 'run') return request.run.image;
  const { context, tags } = request.build;
  return tags[0] ?? ('url' in context ? context.url : context.upload);
}
