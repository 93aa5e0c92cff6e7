import type { Finding } from '#registry/fsck/finding.ts';
import { Refusal } from '../refusal.ts';
import type { Command } from './command.ts';
import { parseSpan, withHousekeeping } from './with-housekeeping.ts';

/** `slipway fsck`: exit code 1 when something is wrong and stays so. */
export const fsck: Command = {
  summary: 'Compare the metadata with what is stored; the registry may run',
  options: {
    repair: { type: 'boolean', description: 'Put right what can be put right without a loss' },
    deep: { type: 'boolean', description: 'Read all content, and compare it with its digest' },
    'stray-age': {
      type: 'string',
      value: 'TIME',
      default: '24h',
      description: 'How old content without an owner has to be (24h); less may take a running push apart',
    },
  },
  async run(invocation) {
    const { options, output } = invocation;
    const strayAge = parseSpan('stray-age', options['stray-age'] as string)!;
    const [repair, deep] = [options.repair === true, options.deep === true];
    const findings = await withHousekeeping(invocation, async ({ fsck }) => {
      const found: Finding[] = [];
      for await (const finding of fsck.check({ repair, deep, strayAge })) found.push(finding);
      return found;
    });
    output.table(findings, [
      { title: 'WRONG', value: ({ kind }) => kind },
      { title: 'WHAT', value: ({ what }) => what },
      { title: 'DETAIL', value: ({ detail }) => detail },
      {
        title: 'REPAIR',
        value: ({ repaired, remedy }) =>
          repaired ? `done: ${remedy}` : (remedy ?? 'it has to be pushed again'),
      },
    ]);
    const left = findings.filter(({ repaired }) => !repaired).length;
    if (left > 0)
      throw new Refusal(`${left} of ${findings.length} findings are not repaired`, { exitCode: 1 });
  },
};
