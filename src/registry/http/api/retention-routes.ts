import { z } from 'zod';
import { pageOf } from '#api/page.ts';
import { parseNamespacePattern } from '#auth/policies/pattern.ts';
import type { Housekeeping } from '../../housekeeping.ts';
import type { RetentionRule } from '../../retention/retention-rule.ts';
import { parseTagPattern } from '../../retention/tag-pattern.ts';
import { type Operation, operation } from './operation.ts';

const caller = 'admin' as const;
const DAY = 24 * 60 * 60 * 1000;
/** How many decisions a dry run shows at most. */
const MAX_DECISIONS = 10_000;

const repositories = z.string().max(255).describe('`team/app`, `team/*`, `team/**`, or `**` for all.');
const tags = z.string().max(128).describe('`v1`, `v*`, or `*` for all.');
const days = z.number().positive().max(36_500);
const params = z.object({ id: z.coerce.number().int() });

const settings = {
  repositories,
  subject: z.enum(['tagged', 'untagged']),
  tags,
  keepNewest: z.int().min(0).max(1_000_000).optional().describe('So many, those pushed last.'),
  keepPushedWithinDays: days.optional(),
  keepPulledWithinDays: days.optional(),
};
const rule = z.object({ id: z.int(), ...settings }).meta({ title: 'RetentionRule' });
const decision = z
  .object({
    repository: z.string(),
    tag: z.string(),
    manifest: z.string(),
    action: z.enum(['keep', 'delete']),
    rules: z.array(z.int()).describe('The rule that keeps it, or those that do not.'),
    why: z.string(),
  })
  .meta({ title: 'RetentionDecision' });
const immutable = z.object({ id: z.int(), repositories, tags }).meta({ title: 'ImmutableTags' });

/** What is kept, and which tags stay what they are. */
export function retentionRoutes(keeping: Housekeeping): Operation[] {
  return [...ruleRoutes(keeping), ...immutableRoutes(keeping)];
}

function ruleRoutes({ retentionRules, retention }: Housekeeping): Operation[] {
  const tag = 'retention';
  return [
    operation({
      id: 'listRetentionRules',
      method: 'GET',
      path: '/retention/rules',
      tag,
      summary: 'The rules of what is kept',
      caller,
      reply: pageOf(rule),
      async handle() {
        return { items: (await retentionRules.list()).map(shape) };
      },
    }),
    operation({
      id: 'createRetentionRule',
      method: 'POST',
      path: '/retention/rules',
      tag,
      summary: 'Keep some of the tags or untagged manifests of some repositories, and no others of them',
      description: 'What several rules are about goes when none of them keeps it; what none is about stays.',
      caller,
      body: z.object({ ...settings, subject: settings.subject.default('tagged'), tags: tags.default('*') }),
      status: 201,
      reply: rule,
      async handle({ body, actor }) {
        const added = await retentionRules.add(
          {
            repositories: parseNamespacePattern(body.repositories),
            subject: body.subject,
            tags: parseTagPattern(body.tags),
            keepNewest: body.keepNewest,
            keepPushedWithin: inMilliseconds(body.keepPushedWithinDays),
            keepPulledWithin: inMilliseconds(body.keepPulledWithinDays),
          },
          actor,
        );
        return shape(added);
      },
    }),
    operation({
      id: 'deleteRetentionRule',
      method: 'DELETE',
      path: '/retention/rules/{id}',
      tag,
      summary: 'Drop a rule',
      caller,
      params,
      handle: ({ params: { id }, actor }) => retentionRules.remove(id, actor),
    }),
    operation({
      id: 'planRetention',
      method: 'GET',
      path: '/retention/plan',
      tag,
      summary: 'What the rules would keep and delete now, and why; nothing is changed',
      caller,
      query: z.object({ repository: z.string().optional() }),
      reply: z.object({ items: z.array(decision), truncated: z.boolean() }),
      async handle({ query, signal }) {
        const items: z.input<typeof decision>[] = [];
        for await (const it of retention.plan({ ...query, signal })) {
          if (items.length === MAX_DECISIONS) return { items, truncated: true };
          items.push({ ...it, rules: [...it.rules] });
        }
        return { items, truncated: false };
      },
    }),
  ];
}

function immutableRoutes({ immutableTags }: Housekeeping): Operation[] {
  const tag = 'immutable tags';
  return [
    operation({
      id: 'listImmutableTags',
      method: 'GET',
      path: '/immutable-tags',
      tag,
      summary: 'Which tags stay what they are once they are pushed',
      caller,
      reply: pageOf(immutable),
      async handle() {
        return { items: await immutableTags.list() };
      },
    }),
    operation({
      id: 'createImmutableTags',
      method: 'POST',
      path: '/immutable-tags',
      tag,
      summary: 'Have tags stay what they are',
      caller,
      body: z.object({ repositories, tags: tags.default('*') }),
      status: 201,
      reply: immutable,
      handle: ({ body, actor }) =>
        immutableTags.add(parseNamespacePattern(body.repositories), parseTagPattern(body.tags), actor),
    }),
    operation({
      id: 'deleteImmutableTags',
      method: 'DELETE',
      path: '/immutable-tags/{id}',
      tag,
      summary: 'Let tags be moved again',
      caller,
      params,
      handle: ({ params: { id }, actor }) => immutableTags.remove(id, actor),
    }),
  ];
}

function shape({ keepPushedWithin, keepPulledWithin, ...rest }: RetentionRule) {
  return {
    ...rest,
    keepPushedWithinDays: keepPushedWithin && keepPushedWithin / DAY,
    keepPulledWithinDays: keepPulledWithin && keepPulledWithin / DAY,
  };
}

function inMilliseconds(inDays: number | undefined): number | undefined {
  return inDays === undefined ? undefined : Math.round(inDays * DAY);
}
