import { printable } from '../build/shown-text.ts';
import { WorkerApi } from '../build/worker-api.ts';
import type { ClientCommand, GroupShape } from './command.ts';
import { readDocument } from './read-document.ts';

interface TriggerShape {
  readonly name: string;
  readonly tenant: string;
  readonly source: { readonly kind: string };
  readonly enabled: boolean;
  readonly events?: string;
  readonly next?: string;
  readonly lastStart?: string;
  readonly lastJob?: string;
  readonly lastError?: string;
  readonly secret?: string;
}

const TENANT = { type: 'string', value: 'NAME', description: 'Whose it is (default)' } as const;

const put: ClientCommand = {
  summary: 'Make a trigger, or change one, as a file says (docs/jobs.md)',
  arguments: ['NAME', 'FILE'],
  options: { tenant: TENANT },
  async run({ environment, options, arguments: [name, file], output, signal }) {
    const wanted = await readDocument(file!, 'expected what a trigger is (docs/jobs.md)');
    const api = new WorkerApi(environment.host);
    const made = await api.put<TriggerShape>(pathOf(name!, options.tenant), wanted, { signal });
    output.result(linesOf(made), made);
  },
};

const list: ClientCommand = {
  summary: 'Triggers, and what came of them',
  options: { tenant: { ...TENANT, description: 'Only this one’s' } },
  async run({ environment, options, output, signal }) {
    const query = typeof options.tenant === 'string' ? `?tenant=${encodeURIComponent(options.tenant)}` : '';
    const api = new WorkerApi(environment.host);
    const { items } = await api.get<{ items: TriggerShape[] }>(`/triggers${query}`, { signal });
    output.table(items, [
      { title: 'NAME', value: ({ name }) => name },
      { title: 'TENANT', value: ({ tenant }) => tenant },
      { title: 'KIND', value: ({ source, enabled }) => (enabled ? source.kind : `${source.kind} (off)`) },
      { title: 'NEXT', value: ({ next }) => next ?? '' },
      { title: 'LAST', value: ({ lastStart }) => lastStart ?? '' },
      { title: 'JOB', value: ({ lastJob }) => lastJob ?? '' },
      { title: 'ERROR', value: ({ lastError }) => lastError ?? '' },
    ]);
  },
};

const show: ClientCommand = {
  summary: 'One trigger',
  arguments: ['NAME'],
  options: { tenant: TENANT },
  async run({ environment, options, arguments: [name], output, signal }) {
    const api = new WorkerApi(environment.host);
    const found = await api.get<TriggerShape>(pathOf(name!, options.tenant), { signal });
    output.result(linesOf(found), found);
  },
};

const remove: ClientCommand = {
  summary: 'Remove a trigger; jobs that came of it stay',
  arguments: ['NAME'],
  options: { tenant: TENANT },
  run: ({ environment, options, arguments: [name] }) =>
    new WorkerApi(environment.host).send('DELETE', pathOf(name!, options.tenant)),
};

/** What asks for jobs by itself: cron lines, images that change, pushes. */
export const trigger: GroupShape<ClientCommand> = {
  summary: 'What asks for jobs by itself: cron lines, images that change, pushes to Git and to registries',
  commands: { put, list, show, remove },
};

function linesOf(it: TriggerShape): string {
  const facts = {
    next: it.next,
    'last start': it.lastStart,
    'last job': it.lastJob,
    error: it.lastError,
    'events to': it.events,
    secret: it.secret,
  };
  const shown = Object.entries(facts).filter(([, value]) => value !== undefined);
  const head = `${it.name}  ${it.source.kind}${it.enabled ? '' : '  (off)'}`;
  return [head, ...shown.map(([what, value]) => `  ${what}: ${value}`)].map(printable).join('\n');
}

function pathOf(name: string, tenant: unknown): string {
  const query = typeof tenant === 'string' ? `?tenant=${encodeURIComponent(tenant)}` : '';
  return `/triggers/${encodeURIComponent(name)}${query}`;
}
