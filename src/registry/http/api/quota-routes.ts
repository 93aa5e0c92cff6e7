import { z } from 'zod';
import { pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import type { Housekeeping } from '../../housekeeping.ts';
import { type Operation, operation } from './operation.ts';

const tag = 'quotas';
const namespace = z
  .string()
  .regex(/^(?:\*|[a-z0-9]+(?:[._-]+[a-z0-9]+)*)$/)
  .max(255)
  .describe("The first segment of repositories' names; `*` for all namespaces without a quota of their own.");
const params = z.object({ namespace });
const usage = z
  .object({
    namespace: z.string(),
    used: z.int().describe('Bytes of its distinct blobs.'),
    limit: z.int().nullable().describe('In bytes; null without a quota.'),
  })
  .meta({ title: 'NamespaceUsage' });

/** What namespaces may hold. */
export function quotaRoutes({ quotas }: Housekeeping): Operation[] {
  return [
    operation({
      id: 'listQuotas',
      method: 'GET',
      path: '/quotas',
      tag,
      summary: 'What each namespace holds, and may hold',
      caller: 'admin',
      query: pageQuery,
      reply: pageOf(usage),
      async handle({ query: { limit, cursor } }) {
        const found = await quotas.list(limit + 1, readCursor(z.string(), cursor));
        const { items, next } = toPage(found, limit, (it) => it.namespace);
        return { items: items.map((it) => ({ ...it, limit: it.limit ?? null })), next };
      },
    }),
    operation({
      id: 'setQuota',
      method: 'PUT',
      path: '/quotas/{namespace}',
      tag,
      summary: 'Limit what a namespace may hold',
      caller: 'admin',
      params,
      body: z.object({ bytes: z.int().min(0) }),
      handle: (request) => quotas.set(request.params.namespace, request.body.bytes, request.actor),
    }),
    operation({
      id: 'deleteQuota',
      method: 'DELETE',
      path: '/quotas/{namespace}',
      tag,
      summary: 'Drop a quota',
      caller: 'admin',
      params,
      handle: (request) => quotas.remove(request.params.namespace, request.actor),
    }),
  ];
}
