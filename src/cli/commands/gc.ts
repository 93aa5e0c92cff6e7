import type { Command } from './command.ts';
import { shownBytes, withHousekeeping } from './with-housekeeping.ts';

/** `slipway gc`: a registry that runs does this by itself. */
export const gc: Command = {
  summary: 'Delete what nothing needs any more and whose time has come; pushes and pulls may go on',
  options: {
    'dry-run': { type: 'boolean', description: 'Only say what would go if all of it were due' },
    now: {
      type: 'boolean',
      description: 'Do not wait for registry.gc.delay: a push that is under way may have to begin again',
    },
  },
  async run(invocation) {
    const { options, output, config } = invocation;
    await withHousekeeping(invocation, async ({ collector, gcPlan, gcStatus, retentionRules }) => {
      if (options['dry-run']) {
        const plan = await gcPlan.plan(await retentionRules.list());
        const lines = plan.manifests.map(({ repository, digest }) => `${repository}@${digest}`);
        const counts = `${plan.manifests.length} manifests, ${plan.blobs} blobs, ${shownBytes(plan.bytes)}`;
        output.result([...lines, `would go: ${counts}`].join('\n'), plan);
        return;
      }
      if (options.now) await gcStatus.makeDue();
      const contentDelay = options.now ? 0 : config.registry.gc.contentDelay;
      const before = await gcStatus.totals();
      const collected = await collector.run({ contentDelay });
      const bytes = (await gcStatus.totals()).bytes - before.bytes;
      const counts = `${collected.manifests} manifests, ${collected.blobs} blobs, ${shownBytes(bytes)}`;
      output.result(`deleted ${counts}`, { ...collected, bytes });
    });
  },
};
