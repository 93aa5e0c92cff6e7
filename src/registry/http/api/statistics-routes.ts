import { z } from 'zod';
import { isoTime, moment, pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import { parseRepositoryName } from '#oci/reference.ts';
import type { PullsRepository } from '../../statistics/pulls-repository.ts';
import { type Operation, operation } from './operation.ts';

const count = z
  .object({
    reference: z.string().describe('A tag, or a digest; empty for the repository.'),
    pulls: z.int(),
    lastPulledAt: moment,
  })
  .meta({ title: 'PullCount' });

/** How often things are pulled. Counts are written every few seconds. */
export function statisticsRoutes({ pulls }: { pulls: PullsRepository }): Operation[] {
  return [
    operation({
      id: 'listPulls',
      method: 'GET',
      path: '/repositories/{name}/pulls',
      tag: 'repositories',
      summary: 'How often a repository, its tags or its manifests were pulled, and when last',
      description: 'What was never pulled is not listed.',
      caller: { action: 'pull', repository: ({ params }) => parseRepositoryName(params.name) },
      params: z.object({ name: z.string() }),
      query: pageQuery.extend({ of: z.enum(['repository', 'tag', 'manifest']).default('tag') }),
      reply: pageOf(count),
      async handle({ params: { name }, query: { limit, cursor, of: kind } }) {
        const last = readCursor(z.string(), cursor);
        const found = await pulls.list(parseRepositoryName(name), { kind, last, limit: limit + 1 });
        const { items, next } = toPage(found, limit, ({ reference }) => reference);
        return {
          items: items.map(({ reference, pulls: number, lastPulledAt }) => ({
            reference,
            pulls: number,
            lastPulledAt: isoTime(lastPulledAt),
          })),
          next,
        };
      },
    }),
  ];
}
