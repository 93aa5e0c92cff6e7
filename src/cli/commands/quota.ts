import type { NamespaceUsage } from '#registry/quotas/quotas-repository.ts';
import { commandActor } from './accounts.ts';
import type { CommandGroup } from './command.ts';
import { parseBytes, shownBytes, withHousekeeping } from './with-housekeeping.ts';

const PAGE = 500;

/** `slipway quota …`: how much namespaces may hold. */
export const quota: CommandGroup = {
  summary: "How much namespaces (the first part of repositories' names) may hold.",
  commands: {
    list: {
      summary: 'List what each holds, and may hold',
      async run(invocation) {
        const usages = await withHousekeeping(invocation, async ({ quotas }) => {
          const all: NamespaceUsage[] = [];
          for (;;) {
            const page = await quotas.list(PAGE, all.at(-1)?.namespace);
            all.push(...page);
            if (page.length < PAGE) return all;
          }
        });
        invocation.output.table(usages, [
          { title: 'NAMESPACE', value: ({ namespace }) => namespace },
          { title: 'USED', value: ({ used }) => shownBytes(used) },
          { title: 'LIMIT', value: ({ limit }) => (limit === undefined ? undefined : shownBytes(limit)) },
        ]);
      },
    },
    set: {
      summary: 'Limit a namespace, or with * those that have no limit of their own, to a size such as 10GiB',
      arguments: ['NAMESPACE', 'SIZE'],
      async run(invocation) {
        const [namespace, text] = invocation.arguments as [string, string];
        const bytes = parseBytes(text);
        await withHousekeeping(invocation, ({ quotas }) =>
          quotas.set(namespace, bytes, commandActor('quota set')),
        );
        invocation.output.result(`${namespace} may hold ${shownBytes(bytes)}`, { namespace, bytes });
      },
    },
    remove: {
      summary: 'Drop a limit',
      arguments: ['NAMESPACE'],
      async run(invocation) {
        const namespace = invocation.arguments[0]!;
        await withHousekeeping(invocation, ({ quotas }) =>
          quotas.remove(namespace, commandActor('quota remove')),
        );
        invocation.output.result(`${namespace} has no limit of its own`, { namespace });
      },
    },
  },
};
