import { z } from 'zod';
import { pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import type { Replication } from '../../replication/replication.ts';
import { type Operation, operation } from './operation.ts';
import { deliverySchema, deliveryShape } from './webhook-routes.ts';

const tag = 'replication';
const caller = 'admin' as const;
const params = z.object({ name: z.string() });

const rule = z
  .object({
    name: z.string(),
    url: z.string(),
    repositories: z.array(z.string()),
    prefix: z.string(),
    deletes: z.boolean(),
    jobs: z.object({ pending: z.int(), delivered: z.int(), dead: z.int() }),
  })
  .meta({ title: 'ReplicationRule' });

/** How far the pushes to other registries are. The rules themselves are in the configuration. */
export function replicationRoutes({ replication }: { replication: Replication }): Operation[] {
  return [
    operation({
      id: 'listReplicationRules',
      method: 'GET',
      path: '/replication',
      tag,
      summary: 'What is pushed on to other registries, and how far that is',
      caller,
      reply: z.object({ items: z.array(rule) }),
      async handle() {
        const found = await replication.status();
        const items = found.map(({ rule: { name, url, repositories, prefix, deletes }, jobs }) => ({
          name,
          url,
          repositories: [...repositories],
          prefix,
          deletes,
          jobs,
        }));
        return { items };
      },
    }),
    operation({
      id: 'listReplicationJobs',
      method: 'GET',
      path: '/replication/{name}/jobs',
      tag,
      summary: 'What a rule pushed or has yet to push, the newest first',
      caller,
      params,
      query: pageQuery.extend({ state: z.enum(['pending', 'delivered', 'dead']).optional() }),
      reply: pageOf(deliverySchema),
      async handle({ params: { name }, query: { limit, cursor, state } }) {
        const before = readCursor(z.int(), cursor);
        const found = await replication.jobs(name, { state, before, limit: limit + 1 });
        const { items, next } = toPage(found, limit, (last) => last.id);
        return { items: items.map(deliveryShape), next };
      },
    }),
    operation({
      id: 'retryReplicationJob',
      method: 'POST',
      path: '/replication/{name}/jobs/{job}/retry',
      tag,
      summary: 'Try a job once more, whatever became of it',
      caller,
      params: params.extend({ job: z.coerce.number().int() }),
      handle: async ({ params: { name, job } }) => await replication.retry(name, job),
    }),
    operation({
      id: 'synchronizeReplication',
      method: 'POST',
      path: '/replication/{name}/synchronize',
      tag,
      summary: 'Push every tag that the rule is for and the other registry lacks',
      description: 'For what was pushed here before there was the rule.',
      caller,
      params,
      status: 202,
      reply: z.object({ jobs: z.int() }),
      handle: async ({ params: { name } }) => ({ jobs: await replication.synchronize(name) }),
    }),
  ];
}
