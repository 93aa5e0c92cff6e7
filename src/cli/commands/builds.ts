import { printable, shownDuration } from '../build/shown-text.ts';
import { WorkerApi } from '../build/worker-api.ts';
import { Refusal } from '../refusal.ts';
import type { ClientCommand, ClientInvocation, GroupShape } from './command.ts';
import { pastMoment } from './moments.ts';

interface Summary {
  readonly id: string;
  readonly state: string;
  readonly images: readonly string[];
  readonly createdAt: string;
  readonly duration: number;
  readonly steps: { readonly total: number; readonly cached: number };
  readonly error?: { readonly message: string; readonly excerpt?: string };
}

interface Step {
  readonly name: string;
  readonly duration: number;
  readonly completed: boolean;
  readonly cached: boolean;
  readonly missed?: string;
  readonly error?: string;
}

type LogLine =
  | { readonly kind: 'output'; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | { readonly kind: 'step' | 'warning' };

interface Found {
  readonly build: string;
  readonly step: { readonly name: string };
  readonly at: string;
  readonly line: string;
}

interface Page<T> {
  readonly items: readonly T[];
  readonly next?: string;
}

const list: ClientCommand = {
  summary: 'Builds, the newest first',
  options: {
    state: {
      type: 'string',
      value: 'STATE',
      description: 'Only running, completed, failed or canceled ones',
    },
    name: {
      type: 'string',
      value: 'TEXT',
      description: 'Only with this in their ID, image, source or target',
    },
    since: { type: 'string', value: 'WHEN', description: 'Not before 2h, 7d ago, or a date' },
    limit: { type: 'string', value: 'N', default: '25', description: 'At most so many (25)' },
  },
  async run({ environment, options, output, signal }) {
    const since = options.since as string | undefined;
    const found = await take<Summary>(
      new WorkerApi(environment.host),
      '/builds',
      {
        state: options.state as string | undefined,
        name: options.name as string | undefined,
        since: since && new Date(pastMoment(since)).toISOString(),
      },
      limitOf(options.limit),
      signal,
    );
    output.table(found, [
      { title: 'BUILD', value: ({ id }) => id },
      { title: 'STATE', value: ({ state }) => state },
      { title: 'BEGUN', value: ({ createdAt }) => createdAt },
      { title: 'TOOK', value: ({ duration }) => shownDuration(duration) },
      { title: 'CACHED', value: ({ steps }) => `${steps.cached}/${steps.total}` },
      { title: 'IMAGE', value: ({ images }) => images.join(' ') },
    ]);
  },
};

const show: ClientCommand = {
  summary: 'The steps of a build: how long each took, and why it was done',
  arguments: ['BUILD'],
  async run({ environment, arguments: [id], output, signal }) {
    const api = new WorkerApi(environment.host);
    const build = await api.get<Summary & { stepList: readonly Step[] }>(pathOf(id!), { signal });
    const { state, duration, images, error, stepList } = build;
    const head = `${id} ${state} after ${shownDuration(duration)} ${images.join(' ')}`.trimEnd();
    const rows = stepList.flatMap(({ name, duration: took, cached, completed, missed, error: failed }) => {
      const mark = cached ? 'CACHED' : completed ? shownDuration(took) : '-';
      const notes = [missed, failed && `ERROR: ${failed}`].filter((note) => note);
      return [
        `${mark.padStart(9)}  ${printable(name)}`,
        ...notes.map((note) => `           ${printable(note!)}`),
      ];
    });
    const end = error
      ? ['', ...(error.excerpt ?? '').split('\n').map(printable), printable(error.message)]
      : [];
    output.result([printable(head), ...rows, ...end].join('\n'), build);
  },
};

const logs: ClientCommand = {
  summary: 'What the commands of a build have written',
  arguments: ['BUILD'],
  options: {
    follow: { type: 'boolean', short: 'f', description: 'Go on until a running build is over' },
    step: { type: 'string', value: 'DIGEST', description: 'Only of this step' },
  },
  async run({ environment, options, arguments: [id], signal }) {
    const query = new URLSearchParams({
      ...(options.follow === true && { follow: '1' }),
      ...(typeof options.step === 'string' && { step: options.step }),
    });
    const api = new WorkerApi(environment.host);
    for await (const line of api.lines<LogLine>(`${pathOf(id!)}/logs?${query}`, { signal })) {
      if (line.kind === 'output')
        (line.stream === 'stdout' ? process.stdout : process.stderr).write(line.text);
    }
  },
};

const search: ClientCommand = {
  summary: 'Lines of the logs of builds that are over, in upper or lower case',
  arguments: ['TEXT'],
  options: {
    build: { type: 'string', value: 'BUILD', description: 'Only in the log of this one' },
    since: {
      type: 'string',
      value: 'WHEN',
      description: 'Only in builds not begun before 2h, 7d ago, or a date',
    },
    limit: { type: 'string', value: 'N', default: '100', description: 'At most so many (100)' },
  },
  async run({ environment, options, arguments: [text], output, signal }) {
    const since = options.since as string | undefined;
    const found = await take<Found>(
      new WorkerApi(environment.host),
      '/builds/search',
      {
        q: text,
        build: options.build as string | undefined,
        since: since && new Date(pastMoment(since)).toISOString(),
      },
      limitOf(options.limit),
      signal,
    );
    output.table(found, [
      { title: 'BUILD', value: ({ build }) => build },
      { title: 'TIME', value: ({ at }) => at },
      { title: 'STEP', value: ({ step }) => step.name },
      { title: 'LINE', value: ({ line }) => line },
    ]);
  },
};

const cancel: ClientCommand = {
  summary: 'End a build that is running',
  arguments: ['BUILD'],
  run: ({ environment, arguments: [id] }) =>
    new WorkerApi(environment.host).send('POST', `${pathOf(id!)}/cancel`),
};

const remove: ClientCommand = {
  summary: 'Forget a build that is over, and its log',
  arguments: ['BUILD'],
  run: ({ environment, arguments: [id] }) => new WorkerApi(environment.host).send('DELETE', pathOf(id!)),
};

/** The builds of a worker. */
export const builds: GroupShape<ClientCommand> = {
  summary: 'Builds of a worker: those of the past and those that run',
  commands: { list, show, logs, search, cancel, remove },
};

/** So many of a list, however many pages that takes. */
async function take<T>(
  api: WorkerApi,
  path: string,
  query: Readonly<Record<string, string | undefined>>,
  limit: number,
  signal: ClientInvocation['signal'],
): Promise<T[]> {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const found: T[] = [];
  for (let cursor: string | undefined; ; ) {
    const wanted = Math.min(1000, limit - found.length);
    const all = new URLSearchParams([...given, ['limit', String(wanted)]]);
    if (cursor) all.set('cursor', cursor);
    const { items, next } = await api.get<Page<T>>(`${path}?${all}`, { signal });
    found.push(...items);
    if (next === undefined || found.length >= limit) return found;
    cursor = next;
  }
}

function limitOf(given: unknown): number {
  const text = String(given);
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new Refusal(`--limit ${text}: expected a number from 1 to 999999`, { exitCode: 2 });
}

function pathOf(id: string): string {
  return `/builds/${encodeURIComponent(id)}`;
}
