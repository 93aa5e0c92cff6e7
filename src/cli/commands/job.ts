import { statSync } from 'node:fs';
import { archiveDirectory } from '../build/archive-directory.ts';
import { printable } from '../build/shown-text.ts';
import { WorkerApi } from '../build/worker-api.ts';
import { Refusal } from '../refusal.ts';
import type { ClientCommand, ClientInvocation, GroupShape } from './command.ts';
import { readDocument } from './read-document.ts';

interface JobSummary {
  readonly id: string;
  readonly tenant: string;
  readonly pipeline?: string;
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly attempt: number;
  readonly error?: string;
  readonly createdAt: string;
}

interface JobDetail extends JobSummary {
  readonly ahead?: number;
  readonly result: { readonly exitCode?: number } | null;
}

interface LogPiece {
  readonly text: string;
}

const FINISHED = new Set(['succeeded', 'failed', 'canceled', 'skipped']);

const submit: ClientCommand = {
  summary: 'Ask for what a file says: a job, or a pipeline of jobs (docs/jobs.md)',
  arguments: ['FILE'],
  options: {
    context: { type: 'string', value: 'DIRECTORY', description: 'Send this, for a build to be built from' },
    tenant: { type: 'string', value: 'NAME', description: 'For whom, if the file does not say' },
    follow: { type: 'boolean', short: 'f', description: 'Show what it writes, and end as it does' },
  },
  async run(invocation) {
    const { environment, options, arguments: given, output, signal } = invocation;
    const api = new WorkerApi(environment.host);
    const request = (await readDocument(given[0]!, 'expected what a job is (docs/jobs.md)')) as Request;
    if (typeof options.tenant === 'string') request.tenant ??= options.tenant;
    if (typeof options.context === 'string') await sendContext(api, request, options.context, signal);
    const { id, isNew, jobs } = await api.post<{ id: string; isNew: boolean; jobs: JobSummary[] }>(
      '/jobs',
      request,
      { signal },
    );
    if (options.follow === true) {
      if (!isNew) process.stderr.write(`Job ${id} is under way already\n`);
      await followAll(api, id, jobs, invocation);
    } else output.result(id, { id, isNew, jobs });
  },
};

const list: ClientCommand = {
  summary: 'Jobs, the newest first',
  options: {
    state: { type: 'string', value: 'STATE', description: 'Only queued, running, failed … ones' },
    tenant: { type: 'string', value: 'NAME', description: 'Only this one’s' },
    pipeline: { type: 'string', value: 'ID', description: 'Only of this pipeline' },
    limit: { type: 'string', value: 'N', default: '25', description: 'At most so many (25)' },
  },
  async run({ environment, options, output, signal }) {
    const { state, tenant, pipeline, limit } = options;
    const given = Object.entries({ state, tenant, pipeline, limit });
    const query = new URLSearchParams(
      given.filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    const api = new WorkerApi(environment.host);
    const { items } = await api.get<{ items: JobSummary[] }>(`/jobs?${query}`, { signal });
    output.table(items, [
      { title: 'JOB', value: ({ id }) => id },
      { title: 'STATE', value: ({ state: now }) => now },
      { title: 'KIND', value: ({ kind }) => kind },
      { title: 'TENANT', value: ({ tenant: owner }) => owner },
      { title: 'CREATED', value: ({ createdAt }) => createdAt },
      { title: 'NAME', value: ({ name }) => name },
    ]);
  },
};

const show: ClientCommand = {
  summary: 'A job, or the jobs of a pipeline, and what became of it',
  arguments: ['JOB'],
  async run({ environment, arguments: [id], output, signal }) {
    const api = new WorkerApi(environment.host);
    const { jobs } = await api.get<{ jobs: JobDetail[] }>(pathOf(id!), { signal });
    const lines = jobs.map(({ id: own, state, name, kind, ahead, error, result }) => {
      const waits = ahead === undefined ? '' : ` (position ${ahead + 1})`;
      const end = error ?? (result === null ? '' : JSON.stringify(result));
      return printable(`${own}  ${state}${waits}  ${kind}  ${name}  ${end}`.trimEnd());
    });
    output.result(lines.join('\n'), jobs);
  },
};

const logs: ClientCommand = {
  summary: 'What a job has written',
  arguments: ['JOB'],
  options: { follow: { type: 'boolean', short: 'f', description: 'Go on until it is over' } },
  async run({ environment, options, arguments: [id], signal }) {
    await writeLog(new WorkerApi(environment.host), id!, options.follow === true, signal);
  },
};

const cancel: ClientCommand = {
  summary: 'End a job, or all jobs of a pipeline',
  arguments: ['JOB'],
  run: ({ environment, arguments: [id] }) =>
    new WorkerApi(environment.host).send('POST', `${pathOf(id!)}/cancel`),
};

const retry: ClientCommand = {
  summary: 'Do a job again that failed, or what failed of a pipeline',
  arguments: ['JOB'],
  run: ({ environment, arguments: [id] }) =>
    new WorkerApi(environment.host).send('POST', `${pathOf(id!)}/retry`),
};

const remove: ClientCommand = {
  summary: 'Forget a job that is over, and what it wrote',
  arguments: ['JOB'],
  run: ({ environment, arguments: [id] }) => new WorkerApi(environment.host).send('DELETE', pathOf(id!)),
};

/** Jobs of the pool: builds and runs that are queued, and survive whoever asked for them. */
export const job: GroupShape<ClientCommand> = {
  summary: 'Builds and runs that are queued: they survive whoever asked for them',
  commands: { submit, list, show, logs, cancel, retry, remove },
};

type Request = Record<string, unknown>;

/** Sends a directory, and has the build be of that. Throws `Refusal`. */
async function sendContext(
  api: WorkerApi,
  request: Request,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const { build, tenant } = request;
  if (typeof build !== 'object' || build === null) {
    throw new Refusal('--context is for a job of the kind build', { exitCode: 2 });
  }
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Refusal(`--context: ${directory} is no directory`, { exitCode: 2 });
  }
  const query = typeof tenant === 'string' ? `?tenant=${encodeURIComponent(tenant)}` : '';
  const sent = archiveDirectory(directory);
  const { digest } = await api.post<{ digest: string }>(`/job-contexts${query}`, sent, { signal });
  request.build = { ...build, context: { upload: digest } };
}

/** Shows what jobs write, one after the other, and ends as they do. Throws `Refusal` for a bad end. */
async function followAll(
  api: WorkerApi,
  id: string,
  jobs: readonly JobSummary[],
  { signal }: ClientInvocation,
): Promise<void> {
  for (const { id: each, name } of jobs) {
    if (jobs.length > 1) process.stderr.write(`\n== ${printable(name)} (${each})\n`);
    await writeLog(api, each, true, signal);
  }
  const { jobs: ended } = await api.get<{ jobs: JobDetail[] }>(pathOf(id), { signal });
  const bad = ended.find(({ state }) => FINISHED.has(state) && state !== 'succeeded');
  if (!bad) return;
  const exitCode = bad.result?.exitCode || 1;
  throw new Refusal(`job ${bad.id} ${bad.state}${bad.error ? `: ${bad.error}` : ''}`, { exitCode });
}

async function writeLog(api: WorkerApi, id: string, follow: boolean, signal: AbortSignal): Promise<void> {
  const query = follow ? '?follow=1' : '';
  for await (const { text: piece } of api.lines<LogPiece>(`${pathOf(id)}/logs${query}`, { signal })) {
    process.stdout.write(piece);
  }
}

function pathOf(id: string): string {
  return `/jobs/${encodeURIComponent(id)}`;
}
