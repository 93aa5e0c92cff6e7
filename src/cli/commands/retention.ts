import { parseNamespacePattern } from '#auth/policies/pattern.ts';
import type { Decision } from '#registry/retention/retention.ts';
import type { RetentionRule } from '#registry/retention/retention-rule.ts';
import { parseTagPattern } from '#registry/retention/tag-pattern.ts';
import { commandActor } from './accounts.ts';
import type { CommandGroup } from './command.ts';
import { parseCount, parseSpan, withHousekeeping } from './with-housekeeping.ts';

const DAY = 86_400_000;

/** `slipway retention …`: which tags and untagged manifests are kept. */
export const retention: CommandGroup = {
  summary: 'Which tags and untagged manifests are kept. What no rule is about stays.',
  commands: {
    list: {
      summary: 'List the rules',
      async run(invocation) {
        const rules = await withHousekeeping(invocation, ({ retentionRules }) => retentionRules.list());
        invocation.output.table(rules, [
          { title: 'RULE', value: ({ id }) => id },
          { title: 'REPOSITORIES', value: ({ repositories }) => repositories },
          { title: 'TAGS', value: ({ subject, tags }) => (subject === 'untagged' ? '(untagged)' : tags) },
          { title: 'KEEPS', value: keeps },
        ]);
      },
    },
    add: {
      summary:
        'Keep some tags (or untagged manifests) of repositories such as team/**, and no others of them',
      arguments: ['REPOSITORIES'],
      options: {
        tags: { type: 'string', value: 'PATTERN', default: '*', description: 'Only tags such as pr-*' },
        untagged: { type: 'boolean', description: 'Manifests without a tag, in the place of tags' },
        newest: { type: 'string', value: 'N', description: 'Keep so many, those pushed last' },
        'pushed-within': { type: 'string', value: 'TIME', description: 'Keep what was pushed within 30d' },
        'pulled-within': { type: 'string', value: 'TIME', description: 'Keep what was pulled within 30d' },
      },
      async run(invocation) {
        const { options, output } = invocation;
        const text = (name: string) => options[name] as string | undefined;
        const newest = text('newest');
        const [repositories] = invocation.arguments as [string];
        const rule = {
          repositories: parseNamespacePattern(repositories),
          subject: options.untagged ? ('untagged' as const) : ('tagged' as const),
          tags: parseTagPattern(text('tags')!),
          keepNewest: newest === undefined ? undefined : parseCount('--newest', newest),
          keepPushedWithin: parseSpan('pushed-within', text('pushed-within')),
          keepPulledWithin: parseSpan('pulled-within', text('pulled-within')),
        };
        const added = await withHousekeeping(invocation, ({ retentionRules }) =>
          retentionRules.add(rule, commandActor('retention add')),
        );
        output.result(`rule ${added.id} keeps ${keeps(added)}`, added);
      },
    },
    remove: {
      summary: 'Drop a rule',
      arguments: ['RULE'],
      async run(invocation) {
        const id = parseCount('rule', invocation.arguments[0]!);
        await withHousekeeping(invocation, ({ retentionRules }) =>
          retentionRules.remove(id, commandActor('retention remove')),
        );
        invocation.output.result(`dropped rule ${id}`, { id });
      },
    },
    run: {
      summary: 'Apply the rules now; a registry that runs does so every registry.retention.interval',
      options: {
        'dry-run': { type: 'boolean', description: 'Only say what each rule keeps and deletes, and why' },
        repository: { type: 'string', value: 'NAME', description: 'With --dry-run, only of this one' },
      },
      async run(invocation) {
        const { options, output } = invocation;
        await withHousekeeping(invocation, async ({ retention: service }) => {
          if (!options['dry-run']) {
            const { tags } = await service.run();
            output.result(`deleted ${tags} tags`, { tags });
            return;
          }
          const repository = options.repository as string | undefined;
          const decisions: Decision[] = [];
          for await (const it of service.plan(repository === undefined ? {} : { repository }))
            decisions.push(it);
          output.table(decisions, [
            { title: 'REPOSITORY', value: (it) => it.repository },
            { title: 'TAG', value: (it) => it.tag },
            { title: 'ACTION', value: (it) => it.action },
            { title: 'RULES', value: (it) => it.rules.join(',') },
            { title: 'WHY', value: (it) => it.why },
          ]);
        });
      },
    },
  },
};

function keeps({ keepNewest, keepPushedWithin, keepPulledWithin }: RetentionRule): string {
  const parts: string[] = [];
  if (keepNewest !== undefined) parts.push(`the ${keepNewest} newest`);
  if (keepPushedWithin !== undefined) parts.push(`pushed within ${keepPushedWithin / DAY}d`);
  if (keepPulledWithin !== undefined) parts.push(`pulled within ${keepPulledWithin / DAY}d`);
  return parts.join(', ');
}
