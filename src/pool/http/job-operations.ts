import { z } from 'zod';
import { pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import { linesOperation, type Operation, operation } from '#worker/http/api/operation.ts';
import { followLog } from '../jobs/follow-log.ts';
import type { Job } from '../jobs/job.ts';
import type { JobLogs } from '../jobs/job-logs.ts';
import type { AskedJobs } from '../jobs/tenant-jobs.ts';
import {
  detailShape,
  jobDetail,
  jobState,
  jobSummary,
  submission,
  submissionOf,
  summaryShape,
} from './job-shapes.ts';

const tag = 'jobs';
const job = z.object({ id: z.string().min(1).max(200) });
const wish = z.enum(['0', '1', 'false', 'true']).transform((value) => value === '1' || value === 'true');
const place = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Jobs that the pool does: asking for them, what becomes of them, what they write, and an end to them. */
export function jobOperations({ jobs, logs }: { jobs: AskedJobs; logs: JobLogs }): Operation[] {
  return [
    operation({
      id: 'submitJob',
      method: 'POST',
      path: '/jobs',
      tag,
      summary: 'Ask for a job, or for a pipeline of jobs',
      description:
        'A build gives the images that it makes their tags, a run keeps files as OCI artifacts; both only at a good end, ' +
        'and once, whatever happens to workers meanwhile.',
      body: submission,
      status: 201,
      reply: z.object({
        id: z.string().describe('Of the job, or of the pipeline.'),
        isNew: z.boolean().describe('False: an unfinished job has the same `dedupKey`, and is meant.'),
        jobs: z.array(jobSummary),
      }),
      async handle({ body }) {
        const { id, isNew, jobs: added } = await jobs.submit(body.tenant, submissionOf(body));
        return { id, isNew, jobs: added.map(summaryShape) };
      },
    }),
    operation({
      id: 'listJobs',
      method: 'GET',
      path: '/jobs',
      tag,
      summary: 'Jobs, the newest first',
      query: pageQuery.extend({
        tenant: z.string().min(1).max(200).optional(),
        pipeline: z.string().min(1).max(200).optional(),
        state: z.array(jobState).optional(),
      }),
      reply: pageOf(jobSummary),
      async handle({ query: { limit, cursor, state: states, ...filter } }) {
        const before = readCursor(z.string(), cursor);
        const found = await jobs.list({ ...filter, states, before, limit: limit + 1 });
        const { items, next } = toPage(found, limit, (last: Job) => last.id);
        return { items: items.map(summaryShape), ...(next && { next }) };
      },
    }),
    operation({
      id: 'getJob',
      method: 'GET',
      path: '/jobs/{id}',
      tag,
      summary: 'One job, or the jobs of a pipeline',
      params: job,
      reply: z.object({ jobs: z.array(jobDetail) }),
      async handle({ params: { id } }) {
        const found = await jobs.find(id);
        const shapes = found.map(async (it) => detailShape(it, await jobs.ahead(it.id)));
        return { jobs: await Promise.all(shapes) };
      },
    }),
    linesOperation({
      id: 'getJobLog',
      method: 'GET',
      path: '/jobs/{id}/logs',
      tag,
      summary: 'What a job has written',
      description: 'Its output in pieces as they come, whatever lines it has.',
      params: job,
      query: z.object({
        from: place.default(0).describe('`next` of a piece: go on behind that.'),
        follow: wish.default(false).describe('Go on until the job is over.'),
      }),
      reply: z.object({
        text: z.string(),
        next: z.int().describe('How many bytes of the log there are up to here.'),
      }),
      async handle({ params: { id }, query: { from, follow }, signal }) {
        const [first] = await jobs.find(id);
        const stateOf = async () => (await jobs.find(first!.id))[0]!.state;
        return pieces(followLog({ logs, stateOf }, first!.id, { from, follow, signal }), from);
      },
    }),
    operation({
      id: 'cancelJob',
      method: 'POST',
      path: '/jobs/{id}/cancel',
      tag,
      summary: 'End a job, or all jobs of a pipeline',
      params: job,
      handle: ({ params: { id } }) => jobs.cancel(id),
    }),
    operation({
      id: 'retryJob',
      method: 'POST',
      path: '/jobs/{id}/retry',
      tag,
      summary: 'Do a job again that failed, or what failed of a pipeline',
      params: job,
      handle: ({ params: { id } }) => jobs.retry(id),
    }),
    operation({
      id: 'deleteJob',
      method: 'DELETE',
      path: '/jobs/{id}',
      tag,
      summary: 'Forget a job that is over, or a pipeline, and what was written',
      params: job,
      handle: ({ params: { id } }) => jobs.remove(id),
    }),
  ];
}

async function* pieces(source: AsyncIterable<Uint8Array>, from: number) {
  const decoder = new TextDecoder();
  let next = from;
  for await (const bytes of source) {
    next += bytes.length;
    yield { text: decoder.decode(bytes, { stream: true }), next };
  }
}
