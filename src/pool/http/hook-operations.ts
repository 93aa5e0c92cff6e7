import { z } from 'zod';
import { isoTime, moment } from '#api/page.ts';
import { type Operation, operation } from '#worker/http/api/operation.ts';
import type { JobHook } from '../hooks/hooks-repository.ts';
import type { AskedHooks } from '../hooks/tenant-hooks.ts';

const tag = 'hooks';
const state = z.enum(['running', 'succeeded', 'failed', 'canceled', 'skipped']);
const ENDS = ['succeeded', 'failed', 'canceled', 'skipped'] as const;
const shape = z.object({
  id: z.string(),
  tenant: z.string(),
  url: z.string(),
  states: z.array(z.string()),
  enabled: z.boolean(),
  lastResult: z.string().optional().describe('What the receiver answered last.'),
  lastAt: moment.optional(),
});
const params = z.object({ id: z.string().min(1).max(200) });

/** Who is told of jobs by HTTP. */
export function hookOperations(hooks: AskedHooks): Operation[] {
  return [
    operation({
      id: 'listHooks',
      method: 'GET',
      path: '/hooks',
      tag,
      summary: 'All hooks',
      query: z.object({ tenant: z.string().min(1).max(200).optional() }),
      reply: z.object({ items: z.array(shape) }),
      handle: async ({ query }) => ({ items: (await hooks.list(query.tenant)).map(shapeOf) }),
    }),
    operation({
      id: 'createHook',
      method: 'POST',
      path: '/hooks',
      tag,
      summary: 'Tell a URL of a tenant’s jobs from now on',
      description:
        'CloudEvents of the type `io.slipway.job.<state>`, at least once each, tried for a day. Signed as Standard ' +
        'Webhooks has it: HMAC-SHA256 over `webhook-id.webhook-timestamp.body`.',
      body: z.strictObject({
        tenant: z.string().min(1).max(200).default('default'),
        url: z.url({ protocol: /^https?$/ }).max(2000),
        states: z
          .array(state)
          .min(1)
          .max(5)
          .default([...ENDS]),
        enabled: z.boolean().default(true),
        secret: z
          .string()
          .max(200)
          .optional()
          .describe('`whsec_` and 24 to 64 bytes in Base64; one is made otherwise.'),
      }),
      status: 201,
      reply: shape.extend({ secret: z.string().describe('Shown this once.') }),
      async handle({ body }) {
        const { hook, secret } = await hooks.add(body);
        return { ...shapeOf(hook), secret };
      },
    }),
    operation({
      id: 'getHook',
      method: 'GET',
      path: '/hooks/{id}',
      tag,
      summary: 'One hook',
      params,
      reply: shape,
      handle: async ({ params: { id } }) => shapeOf(await hooks.get(id)),
    }),
    operation({
      id: 'deleteHook',
      method: 'DELETE',
      path: '/hooks/{id}',
      tag,
      summary: 'Tell it nothing any more',
      params,
      handle: ({ params: { id } }) => hooks.remove(id),
    }),
  ];
}

function shapeOf({ lastResult, lastAt, confined: _, ...hook }: JobHook): z.input<typeof shape> {
  return {
    ...hook,
    states: [...hook.states],
    ...(lastResult !== null && { lastResult }),
    ...(lastAt !== null && { lastAt: isoTime(lastAt) }),
  };
}
