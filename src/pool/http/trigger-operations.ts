import { z } from 'zod';
import { isoTime, moment } from '#api/page.ts';
import { messageOf } from '#errors/errors.ts';
import { parseImageReference } from '#oci/reference.ts';
import { type Operation, operation } from '#worker/http/api/operation.ts';
import type { AskedTriggers } from '../triggers/tenant-triggers.ts';
import type { Trigger, TriggerSource } from '../triggers/trigger.ts';

const tag = 'triggers';
const SECONDS = 1_000;

const pattern = z.string().min(1).max(500);
const image = z
  .string()
  .max(500)
  .superRefine((text, context) => {
    try {
      if (parseImageReference(text).digest !== undefined)
        throw new Error('expected a tag: a digest never changes');
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
    }
  });

const source = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('schedule'),
    cron: z.string().min(1).max(200).describe('Minute, hour, day, month, day of the week: `30 4 * * 1-5`.'),
    timeZone: z.string().max(100).default('UTC').describe('`Europe/Berlin`'),
    missed: z
      .enum(['once', 'skip'])
      .default('once')
      .describe('Times at which nothing ran: one start for all of them, or none.'),
  }),
  z.strictObject({
    kind: z.literal('image'),
    image: image.describe('Starts when this tag means another digest, in any registry.'),
    every: z
      .number()
      .min(5)
      .max(86_400)
      .default(60)
      .transform((seconds) => seconds * SECONDS)
      .describe('Seconds between two looks.'),
  }),
  z.strictObject({
    kind: z.literal('git'),
    from: z.enum(['github', 'gitea', 'gitlab']),
    refs: z.array(pattern).min(1).max(50).default(['refs/heads/*']),
  }),
  z.strictObject({
    kind: z.literal('registry'),
    images: z
      .array(pattern)
      .min(1)
      .max(50)
      .describe('Of a webhook of a Slipway registry: `library/base:1`, `team/*:*`.'),
  }),
]);

const tenant = z.string().min(1).max(200).default('default');
const name = z.string().regex(/^[\w.-]{1,100}$/, 'expected letters, digits, dots and dashes');
const one = { params: z.object({ name }), query: z.object({ tenant }) };

const shape = z.object({
  name: z.string(),
  tenant: z.string(),
  source: z.unknown(),
  job: z.unknown(),
  enabled: z.boolean(),
  events: z.string().optional().describe('Where events are to be sent.'),
  next: moment.optional().describe('When it is looked at next.'),
  lastStart: moment.optional(),
  lastJob: z.string().optional().describe('The job or pipeline that came of it last.'),
  lastError: z.string().optional(),
});

/** What asks for jobs by itself: times, images that change, and events of Git hosts and registries. */
export function triggerOperations(triggers: AskedTriggers): Operation[] {
  return [
    operation({
      id: 'listTriggers',
      method: 'GET',
      path: '/triggers',
      tag,
      summary: 'All triggers',
      query: z.object({ tenant: z.string().min(1).max(200).optional() }),
      reply: z.object({ items: z.array(shape) }),
      handle: async ({ query }) => ({ items: (await triggers.list(query.tenant)).map(shapeOf) }),
    }),
    operation({
      id: 'putTrigger',
      method: 'PUT',
      path: '/triggers/{name}',
      tag,
      summary: 'Make a trigger, or change one',
      description:
        'Each time, event and change starts its job once, however many gateways there are. Texts of the job may have ' +
        'placeholders: `{{time}}` of a schedule, `{{image}}` and `{{digest}}` of an image, `{{ref}}`, `{{branch}}`, ' +
        '`{{tag}}`, `{{slug}}`, `{{commit}}` and `{{repository}}` of a push to Git, `{{repository}}`, `{{tag}}` and ' +
        '`{{digest}}` of one to a registry.',
      ...one,
      body: z.strictObject({
        source,
        job: z.record(z.string(), z.unknown()).describe('As for `submitJob`, without `tenant`.'),
        enabled: z.boolean().default(true),
        secret: z
          .string()
          .min(16)
          .max(200)
          .optional()
          .describe('What events are signed with; one is made where none is given.'),
      }),
      reply: shape.extend({ secret: z.string().optional().describe('One that was made: shown this once.') }),
      async handle({ params, query, body }) {
        const { job: submission, ...wanted } = body;
        const { trigger, secret } = await triggers.put(query.tenant, params.name, { ...wanted, submission });
        return { ...shapeOf(trigger), ...(secret !== undefined && { secret }) };
      },
    }),
    operation({
      id: 'getTrigger',
      method: 'GET',
      path: '/triggers/{name}',
      tag,
      summary: 'One trigger',
      ...one,
      reply: shape,
      handle: async ({ params, query }) => shapeOf(await triggers.get(query.tenant, params.name)),
    }),
    operation({
      id: 'deleteTrigger',
      method: 'DELETE',
      path: '/triggers/{name}',
      tag,
      summary: 'Remove a trigger; jobs that came of it stay',
      ...one,
      handle: ({ params, query }) => triggers.remove(query.tenant, params.name),
    }),
  ];
}

function shapeOf(trigger: Trigger): z.input<typeof shape> {
  const { id, name: called, tenant: owner, enabled, dueAt, firedAt, lastId, lastError } = trigger;
  const takesEvents = trigger.source.kind === 'git' || trigger.source.kind === 'registry';
  return {
    name: called,
    tenant: owner,
    source: sourceShape(trigger.source),
    job: trigger.submission,
    enabled,
    ...(takesEvents && { events: `/api/v1/triggers/${id}/events` }),
    ...(dueAt !== null && enabled && { next: isoTime(dueAt) }),
    ...(firedAt !== null && { lastStart: isoTime(firedAt) }),
    ...(lastId !== null && { lastJob: lastId }),
    ...(lastError !== null && { lastError }),
  };
}

/** As it was given. */
function sourceShape(given: TriggerSource): unknown {
  return given.kind === 'image' ? { ...given, every: given.every / SECONDS } : given;
}
