import { z } from 'zod';
import { isoTime, moment, pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import { type NamespacePattern, parseNamespacePattern } from '#auth/policies/pattern.ts';
import type { Delivery } from '../../outbox/outbox-repository.ts';
import { WEBHOOK_FORMATS, type Webhook } from '../../webhooks/webhook.ts';
import type { Webhooks } from '../../webhooks/webhooks.ts';
import { type Operation, operation } from './operation.ts';

const tag = 'webhooks';
const caller = 'admin' as const;

const pattern = z
  .string()
  .refine((text) => isPattern(text), 'expected a pattern such as team/app, team/* or team/**')
  .describe('`team/app`, `team/*`, `team/**`, or `**` for all.');
const action = z
  .string()
  .regex(/^(?:\*|(?:blob|manifest|tag)\.(?:\*|[a-z]+))$/)
  .describe('`manifest.push`, `tag.*`, or `*` for all.');
const secret = z.string().max(200).describe('`whsec_` and 24 to 64 bytes in Base64.');

const settings = {
  url: z.url({ protocol: /^https?$/ }).max(2000),
  description: z.string().max(500),
  format: z.enum(WEBHOOK_FORMATS).describe('CloudEvents 1.0, or the notifications of distribution.'),
  repositories: z.array(pattern).min(1).max(100),
  actions: z.array(action).min(1).max(20),
  enabled: z.boolean(),
};

const webhook = z
  .object({ id: z.string(), ...settings, createdAt: moment, updatedAt: moment })
  .meta({ title: 'Webhook' });
const withSecret = webhook.extend({ secret: secret.describe('Shown this once.') });

/** Something that was to be done about an event, and what came of it. */
export const deliverySchema = z
  .object({
    id: z.int(),
    state: z.enum(['pending', 'delivered', 'dead']),
    attempts: z.int(),
    dueAt: moment.describe('When it is tried next, if it is pending.'),
    result: z.string().nullable().describe('What the last attempt came to.'),
    event: z.object({
      id: z.int(),
      at: moment,
      action: z.string(),
      repository: z.string().nullable(),
      digest: z.string().nullable(),
      tag: z.string().nullable(),
    }),
    createdAt: moment,
    updatedAt: moment,
  })
  .meta({ title: 'Delivery' });

const params = z.object({ id: z.string() });

/** Who is told of changes by HTTP, and what became of what they were told. */
export function webhookRoutes({ webhooks }: { webhooks: Webhooks }): Operation[] {
  return [
    operation({
      id: 'listWebhooks',
      method: 'GET',
      path: '/webhooks',
      tag,
      summary: 'All webhooks',
      caller,
      query: pageQuery,
      reply: pageOf(webhook),
      async handle({ query: { limit, cursor } }) {
        const found = await webhooks.list({ limit: limit + 1, last: readCursor(z.string(), cursor) });
        const { items, next } = toPage(found, limit, ({ id }) => id);
        return { items: items.map(shape), next };
      },
    }),
    operation({
      id: 'createWebhook',
      method: 'POST',
      path: '/webhooks',
      tag,
      summary: 'Tell a URL of changes from now on',
      description:
        'Deliveries are signed as Standard Webhooks has it: HMAC-SHA256 over `webhook-id.webhook-timestamp.body`.',
      caller,
      body: z.object({
        url: settings.url,
        description: settings.description.default(''),
        format: settings.format.default('cloudevents'),
        repositories: settings.repositories.default(['**']),
        actions: settings.actions.default(['*']),
        enabled: settings.enabled.default(true),
        secret: secret.optional().describe('One is made where none is given.'),
      }),
      status: 201,
      reply: withSecret,
      async handle({ body: { secret: given, ...wanted }, actor }) {
        const created = await webhooks.create(
          { ...wanted, repositories: wanted.repositories as NamespacePattern[] },
          actor,
          given,
        );
        return { ...shape(created), secret: created.secret };
      },
    }),
    operation({
      id: 'getWebhook',
      method: 'GET',
      path: '/webhooks/{id}',
      tag,
      summary: 'One webhook',
      caller,
      params,
      reply: webhook,
      handle: async ({ params: { id } }) => shape(await webhooks.get(id)),
    }),
    operation({
      id: 'updateWebhook',
      method: 'PATCH',
      path: '/webhooks/{id}',
      tag,
      summary: 'Change a webhook',
      description: 'A webhook that is enabled again does not hear of what happened meanwhile.',
      caller,
      params,
      body: z.object(settings).partial(),
      reply: webhook,
      handle: async ({ params: { id }, body, actor }) =>
        shape(await webhooks.change(id, defined(body) as never, actor)),
    }),
    operation({
      id: 'deleteWebhook',
      method: 'DELETE',
      path: '/webhooks/{id}',
      tag,
      summary: 'Forget a webhook and its deliveries',
      caller,
      params,
      handle: async ({ params: { id }, actor }) => await webhooks.remove(id, actor),
    }),
    operation({
      id: 'rotateWebhookSecret',
      method: 'POST',
      path: '/webhooks/{id}/secret',
      tag,
      summary: 'Sign with a new secret',
      description: 'For a day the one before signs too: `webhook-signature` has both.',
      caller,
      params,
      body: z.object({ secret: secret.optional() }),
      reply: withSecret,
      async handle({ params: { id }, body, actor }) {
        const rotated = await webhooks.rotateSecret(id, actor, body.secret);
        return { ...shape(rotated), secret: rotated.secret };
      },
    }),
    operation({
      id: 'pingWebhook',
      method: 'POST',
      path: '/webhooks/{id}/ping',
      tag,
      summary: 'Send a test event now',
      caller,
      params,
      reply: z.object({ delivered: z.boolean(), result: z.string() }),
      handle: async ({ params: { id }, signal }) => await webhooks.ping(id, { signal }),
    }),
    operation({
      id: 'listWebhookDeliveries',
      method: 'GET',
      path: '/webhooks/{id}/deliveries',
      tag,
      summary: 'What a webhook was told, the newest first',
      caller,
      params,
      query: pageQuery.extend({ state: z.enum(['pending', 'delivered', 'dead']).optional() }),
      reply: pageOf(deliverySchema),
      async handle({ params: { id }, query: { limit, cursor, state } }) {
        const before = readCursor(z.int(), cursor);
        const found = await webhooks.deliveries(id, { state, before, limit: limit + 1 });
        const { items, next } = toPage(found, limit, (last) => last.id);
        return { items: items.map(deliveryShape), next };
      },
    }),
    operation({
      id: 'redeliver',
      method: 'POST',
      path: '/webhooks/{id}/deliveries/{delivery}/redeliver',
      tag,
      summary: 'Deliver once more, whatever became of it before',
      caller,
      params: params.extend({ delivery: z.coerce.number().int() }),
      handle: async ({ params: { id, delivery: number } }) => await webhooks.redeliver(id, number),
    }),
  ];
}

function shape({ id, url, description, format, repositories, actions, enabled, ...times }: Webhook) {
  const [createdAt, updatedAt] = [isoTime(times.createdAt), isoTime(times.updatedAt)];
  return {
    id,
    url,
    description,
    format,
    repositories: [...repositories],
    actions: [...actions],
    enabled,
    createdAt,
    updatedAt,
  };
}

export function deliveryShape({ event, consumer: _, ...it }: Delivery) {
  return {
    ...it,
    dueAt: isoTime(it.dueAt),
    createdAt: isoTime(it.createdAt),
    updatedAt: isoTime(it.updatedAt),
    event: {
      id: event.id,
      at: isoTime(event.at),
      action: event.action,
      repository: event.repository,
      digest: event.digest,
      tag: event.tag,
    },
  };
}

/** What was not given is not to be changed. */
function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function isPattern(text: string): boolean {
  try {
    parseNamespacePattern(text);
    return true;
  } catch {
    return false;
  }
}
