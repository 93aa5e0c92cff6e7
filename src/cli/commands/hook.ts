import { WorkerApi } from '../build/worker-api.ts';
import type { ClientCommand, GroupShape } from './command.ts';

interface HookShape {
  readonly id: string;
  readonly tenant: string;
  readonly url: string;
  readonly states: readonly string[];
  readonly lastResult?: string;
  readonly secret?: string;
}

const add: ClientCommand = {
  summary: 'Tell a URL of jobs that end; prints the hook and the secret that it signs with',
  arguments: ['URL'],
  options: {
    tenant: { type: 'string', value: 'NAME', description: 'Whose jobs (default)' },
    states: {
      type: 'string',
      value: 'LIST',
      description: 'Such as running,succeeded,failed; all ends unless said otherwise',
    },
  },
  async run({ environment, options, arguments: [url], output, signal }) {
    const { tenant, states } = options;
    const wanted = {
      url,
      ...(typeof tenant === 'string' && { tenant }),
      ...(typeof states === 'string' && { states: states.split(',') }),
    };
    const made = await new WorkerApi(environment.host).post<HookShape>('/hooks', wanted, { signal });
    output.result(`${made.id}\n  secret: ${made.secret}`, made);
  },
};

const list: ClientCommand = {
  summary: 'Hooks, and what was answered last',
  async run({ environment, output, signal }) {
    const { items } = await new WorkerApi(environment.host).get<{ items: HookShape[] }>('/hooks', { signal });
    output.table(items, [
      { title: 'HOOK', value: ({ id }) => id },
      { title: 'TENANT', value: ({ tenant }) => tenant },
      { title: 'STATES', value: ({ states }) => states.join(',') },
      { title: 'LAST', value: ({ lastResult }) => lastResult ?? '' },
      { title: 'URL', value: ({ url }) => url },
    ]);
  },
};

const remove: ClientCommand = {
  summary: 'Tell it nothing any more',
  arguments: ['HOOK'],
  run: ({ environment, arguments: [id] }) =>
    new WorkerApi(environment.host).send('DELETE', `/hooks/${encodeURIComponent(id!)}`),
};

/** Who is told of jobs by HTTP. */
export const hook: GroupShape<ClientCommand> = {
  summary: 'Who is told of jobs, by HTTP',
  commands: { add, list, remove },
};
