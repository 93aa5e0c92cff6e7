import { z } from 'zod';
import { givenMoment, isoTime, moment, pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import type { AuditRepository } from '../../events/audit-repository.ts';
import { type Operation, operation } from './operation.ts';

const entry = z
  .object({
    id: z.int(),
    at: moment,
    action: z.string().describe('What was done to what, such as `manifest.push`.'),
    outcome: z.enum(['done', 'denied']),
    actor: z.string().describe('`user:NAME`, `robot:NAME`, `anonymous` or `system`.'),
    address: z.string().nullable(),
    userAgent: z.string().nullable(),
    requestId: z.string().nullable(),
    repository: z.string().nullable(),
    digest: z.string().nullable(),
    tag: z.string().nullable(),
    mediaType: z.string().nullable(),
    size: z.int().nullable().describe('In bytes.'),
    detail: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ title: 'AuditEntry' });

/** The audit log: every change, every request that was denied. */
export function auditRoutes({ audit }: { audit: AuditRepository }): Operation[] {
  return [
    operation({
      id: 'listAuditEntries',
      method: 'GET',
      path: '/audit',
      tag: 'audit',
      summary: 'What was changed or denied, the newest first',
      caller: 'admin',
      query: pageQuery.extend({
        actor: z.string().optional(),
        repository: z.string().optional(),
        action: z.string().optional(),
        outcome: z.enum(['done', 'denied']).optional(),
        since: givenMoment.optional().describe('Not before this moment.'),
        until: givenMoment.optional().describe('Before this moment.'),
      }),
      reply: pageOf(entry),
      async handle({ query: { limit, cursor, ...filter } }) {
        const found = await audit.list(filter, limit + 1, readCursor(z.tuple([z.int(), z.int()]), cursor));
        const { items, next } = toPage(found, limit, ({ at, id }) => [at, id]);
        return { items: items.map((item) => ({ ...item, at: isoTime(item.at) })), next };
      },
    }),
  ];
}
