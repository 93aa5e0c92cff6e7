import { z } from 'zod';
import type { Housekeeping } from '../../housekeeping.ts';
import { type Operation, operation } from './operation.ts';

const queue = z
  .object({
    queue: z.enum(['manifests', 'links', 'blobs', 'contents']),
    waiting: z.int(),
    due: z.int().describe('Those that should have been looked at.'),
    overdue: z.int().describe('For how long the first of them, in milliseconds.'),
  })
  .meta({ title: 'GcQueue' });

/** How garbage collection is doing. */
export function gcRoutes({ gcStatus }: Housekeeping): Operation[] {
  return [
    operation({
      id: 'getGarbageCollection',
      method: 'GET',
      path: '/gc',
      tag: 'garbage collection',
      summary: 'What waits to be looked at, and what was deleted so far',
      caller: 'admin',
      reply: z.object({
        queues: z.array(queue),
        deleted: z
          .object({ manifests: z.int(), links: z.int(), blobs: z.int(), bytes: z.int() })
          .describe('Since the registry began.'),
      }),
      async handle() {
        return { queues: await gcStatus.queues(), deleted: await gcStatus.totals() };
      },
    }),
  ];
}
