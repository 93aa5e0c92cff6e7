import { AuditRepository } from '#registry/events/audit-repository.ts';
import { Refusal } from '../refusal.ts';
import { openRegistryStorage } from '../registry/storage.ts';
import type { Command } from './command.ts';
import { pastMoment } from './moments.ts';

export const audit: Command = {
  summary: 'Say what was changed or denied, the newest first',
  options: {
    actor: { type: 'string', value: 'WHO', description: 'Only by user:NAME, robot:NAME, anonymous, system' },
    repository: { type: 'string', value: 'NAME', description: 'Only in this repository' },
    action: { type: 'string', value: 'ACTION', description: 'Only this, such as manifest.push' },
    denied: { type: 'boolean', description: 'Only what was denied' },
    since: { type: 'string', value: 'WHEN', description: 'Not before 2h, 7d ago, or a date' },
    until: { type: 'string', value: 'WHEN', description: 'Before 2h, 7d ago, or a date' },
    limit: { type: 'string', value: 'N', default: '100', description: 'At most so many (100)' },
  },
  async run({ config, options, output }) {
    await using storage = await openRegistryStorage(config);
    const text = (name: string) => options[name] as string | undefined;
    const [since, until] = [text('since'), text('until')];
    const found = await new AuditRepository(storage.db).list(
      {
        actor: text('actor'),
        repository: text('repository'),
        action: text('action'),
        outcome: options.denied ? 'denied' : undefined,
        since: since === undefined ? undefined : pastMoment(since),
        until: until === undefined ? undefined : pastMoment(until),
      },
      limit(text('limit')!),
    );
    const rows = found.map((entry) => ({ ...entry, at: new Date(entry.at).toISOString() }));
    output.table(rows, [
      { title: 'TIME', value: ({ at }) => at },
      { title: 'ACTOR', value: ({ actor }) => actor },
      { title: 'ACTION', value: ({ action }) => action },
      { title: 'OUTCOME', value: ({ outcome }) => outcome },
      { title: 'REPOSITORY', value: ({ repository }) => repository },
      {
        title: 'WHAT',
        value: ({ tag, digest, detail }) => tag ?? digest ?? (detail && JSON.stringify(detail)),
      },
      { title: 'ADDRESS', value: ({ address }) => address },
    ]);
  },
};

function limit(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new Refusal(`--limit ${text}: expected a number from 1 to 999999`, { exitCode: 2 });
}
