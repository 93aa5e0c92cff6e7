import { z } from 'zod';
import { isoTime, moment } from '#api/page.ts';
import {
  type BuildRecord,
  type KeptRecord,
  type StepRecord,
  stateOf,
} from '#worker/build/history/build-record.ts';
import type { ToldEvent } from '#worker/build/history/log-parser.ts';
import type { FoundInBuild } from '#worker/build/history/search-page.ts';

const texts = z.record(z.string(), z.string());

export const buildState = z.enum(['running', 'completed', 'failed', 'canceled']);

const summary = z.object({
  id: z.string().describe('What its client called it.'),
  state: buildState,
  images: z.array(z.string()).describe('The images that it makes.'),
  createdAt: moment,
  completedAt: moment.optional(),
  duration: z.int().describe('In milliseconds, up to now for one that is running.'),
  steps: z.object({ total: z.int(), completed: z.int(), cached: z.int() }),
  warnings: z.int(),
  error: z
    .object({
      kind: z.string(),
      message: z.string(),
      excerpt: z.string().optional().describe('The lines of the Dockerfile that it is about.'),
      exitCode: z.int().optional().describe('Of the command that failed.'),
    })
    .optional(),
  pinned: z.boolean().describe('It is not forgotten by itself.'),
});

export const buildSummary = summary.meta({ title: 'BuildSummary' });

const step = z
  .object({
    digest: z.string(),
    name: z.string().describe('As progress shows it: `[build 2/5] RUN make`.'),
    inputs: z.array(z.string()).describe('Digests of the steps that it stands on.'),
    startedAt: moment.optional(),
    completedAt: moment.optional(),
    duration: z.int().describe('In milliseconds.'),
    completed: z.boolean(),
    cached: z.boolean(),
    missed: z.string().optional().describe('Why it was not found in the cache.'),
    error: z.string().optional(),
  })
  .meta({ title: 'BuildStep' });

export const buildDetail = summary
  .extend({
    frontend: z.string().describe('`dockerfile.v0`; empty for a graph of the client’s own.'),
    frontendOptions: texts.describe('As the client gave them: `build-arg:VERSION`, `target` …'),
    exporters: z.array(z.object({ type: z.string(), attributes: texts })),
    results: texts.describe('What the exporters answered: `containerimage.digest` …'),
    // What comes first stands on nothing that comes later.
    stepList: z.array(step),
  })
  .meta({ title: 'Build' });

export const logLine = z
  .discriminatedUnion('kind', [
    z.object({
      kind: z.literal('output'),
      next: z.int().describe('Where to go on behind this.'),
      at: moment,
      step: z.string().describe('Its digest.'),
      stream: z.enum(['stdout', 'stderr']),
      text: z.string().describe('As it was written, in any number of lines, whole or not.'),
    }),
    z.object({
      kind: z.literal('step'),
      next: z.int(),
      step: z.string(),
      name: z.string(),
      startedAt: moment.optional(),
      completedAt: moment.optional(),
      cached: z.boolean(),
      error: z.string().optional(),
    }),
    z.object({ kind: z.literal('warning'), next: z.int(), text: z.string(), detail: z.array(z.string()) }),
  ])
  .meta({ title: 'BuildLogLine' });

export const foundLine = z
  .object({
    build: z.string(),
    step: z.object({ digest: z.string(), name: z.string() }),
    at: moment,
    stream: z.enum(['stdout', 'stderr']),
    line: z.string().describe('Of a long line, the part around what was found.'),
    from: z.int().describe('A place in the log of the build, at the line or before it.'),
  })
  .meta({ title: 'FoundLine' });

export function summaryShape(record: KeptRecord): z.input<typeof buildSummary> {
  const { ref, createdAt, completedAt, steps, error, warnings, pinned } = record;
  return {
    id: ref,
    state: stateOf(record),
    images: imagesOf(record),
    ...times({ createdAt, completedAt }),
    duration: (completedAt?.getTime() ?? Date.now()) - createdAt.getTime(),
    steps: {
      total: steps.length,
      completed: steps.filter(({ completed }) => completed).length,
      cached: steps.filter(({ cached }) => cached).length,
    },
    warnings,
    ...(error && { error }),
    pinned,
  };
}

export function detailShape(record: KeptRecord): z.input<typeof buildDetail> {
  const { frontend, frontendOptions, exporters, response } = record;
  return {
    ...summaryShape(record),
    frontend,
    frontendOptions: { ...frontendOptions },
    exporters: exporters.map(({ type, attrs }) => ({ type, attributes: { ...attrs } })),
    results: { ...response },
    stepList: record.steps.map(stepShape),
  };
}

/** undefined for what is no line of a log. `decode`: the text of a stream's next bytes. */
export function logShape(
  { told, next }: ToldEvent,
  decode: (key: string, bytes: Uint8Array) => string,
): z.input<typeof logLine> | undefined {
  if (told.kind === 'log') {
    const { vertex, stream, data, timestamp } = told.event;
    const text = decode(`${vertex} ${stream}`, data);
    return { kind: 'output', next, at: isoTime(timestamp.getTime()), step: vertex, stream, text };
  }
  if (told.kind === 'vertex') {
    const { digest, name, started, completed, cached, error } = told.event;
    const at = times({ startedAt: started, completedAt: completed });
    return { kind: 'step', next, step: digest, name, ...at, cached, ...(error !== undefined && { error }) };
  }
  if (told.kind === 'warning') {
    return { kind: 'warning', next, text: told.event.short, detail: [...told.event.detail] };
  }
  return undefined;
}

export function foundShape({
  record,
  step,
  stream,
  at,
  line,
  from,
}: FoundInBuild): z.input<typeof foundLine> {
  const name = record.steps.find(({ digest }) => digest === step)?.name ?? '';
  return {
    build: record.ref,
    step: { digest: step, name },
    at: isoTime(at.getTime()),
    stream,
    line,
    from,
  };
}

function stepShape(record: StepRecord): z.input<typeof step> {
  const { startedAt, completedAt, inputs = [], ...rest } = record;
  return { ...rest, inputs: [...inputs], ...times({ startedAt, completedAt }) };
}

function imagesOf({ exporters }: BuildRecord): string[] {
  const names = exporters.flatMap(({ attrs }) => (attrs.name ?? '').split(','));
  return [...new Set(names.filter((name) => name !== ''))];
}

type Written<T> = { [K in keyof T]: T[K] extends Date ? string : string | undefined };

function times<T extends Record<string, Date | undefined>>(moments: T): Written<T> {
  const given = Object.entries(moments).filter(([, at]) => at !== undefined);
  return Object.fromEntries(given.map(([name, at]) => [name, isoTime(at!.getTime())])) as Written<T>;
}
