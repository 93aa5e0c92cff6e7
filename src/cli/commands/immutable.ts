import { parseNamespacePattern } from '#auth/policies/pattern.ts';
import { parseTagPattern } from '#registry/retention/tag-pattern.ts';
import { commandActor } from './accounts.ts';
import type { CommandGroup } from './command.ts';
import { parseCount, withHousekeeping } from './with-housekeeping.ts';

/** `slipway immutable …`: tags that stay what they are. */
export const immutable: CommandGroup = {
  summary: 'Tags that stay what they are once they are pushed.',
  commands: {
    list: {
      summary: 'List which',
      async run(invocation) {
        const rules = await withHousekeeping(invocation, ({ immutableTags }) => immutableTags.list());
        invocation.output.table(rules, [
          { title: 'RULE', value: ({ id }) => id },
          { title: 'REPOSITORIES', value: ({ repositories }) => repositories },
          { title: 'TAGS', value: ({ tags }) => tags },
        ]);
      },
    },
    add: {
      summary: 'Have tags such as v* of repositories such as team/** stay what they are',
      arguments: ['REPOSITORIES', 'TAGS'],
      async run(invocation) {
        const [repositories, tags] = invocation.arguments as [string, string];
        const added = await withHousekeeping(invocation, ({ immutableTags }) =>
          immutableTags.add(
            parseNamespacePattern(repositories),
            parseTagPattern(tags),
            commandActor('immutable add'),
          ),
        );
        invocation.output.result(`rule ${added.id}: ${tags} of ${repositories} are immutable`, added);
      },
    },
    remove: {
      summary: 'Let them be moved and deleted again',
      arguments: ['RULE'],
      async run(invocation) {
        const id = parseCount('rule', invocation.arguments[0]!);
        await withHousekeeping(invocation, ({ immutableTags }) =>
          immutableTags.remove(id, commandActor('immutable remove')),
        );
        invocation.output.result(`dropped rule ${id}`, { id });
      },
    },
  },
};
