import { z } from 'zod';
import { checkPart } from '#api/check-parts.ts';
import { givenMoment, isoTime, moment } from '#api/page.ts';
import { invalid, messageOf } from '#errors/errors.ts';
import { isDigest } from '#oci/digest.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { Job } from '../jobs/job.ts';
import type { Submission } from '../jobs/jobs.ts';

const SECONDS = 1_000;
const DAY = 86_400;

/** A map from names to short texts, such as variables of an environment. */
function textMap(name: z.ZodString, { entries, length }: { entries: number; length: number }) {
  return z
    .record(name, z.string().max(length))
    .refine((map) => Object.keys(map).length <= entries, `at most ${entries} entries`)
    .default({});
}

const imageName = z
  .string()
  .max(500)
  .superRefine((text, context) => {
    try {
      parseImageReference(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
    }
  });
const pushedName = imageName.refine((text) => {
  try {
    const { digest, domain } = parseImageReference(text);
    return digest === undefined && domain !== 'docker.io';
  } catch {
    return true;
  }
}, 'expected a name with its registry, such as registry.example/team/app:1');
const variable = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^=\0]+$/, 'a name has no =');
const label = z.string().min(1).max(256);
const path = z.string().min(1).max(4096);
const platform = z
  .string()
  .max(100)
  .regex(/^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9]+)?$/, 'expected a platform such as linux/amd64');

const build = z.strictObject({
  context: z
    .union([
      z.strictObject({ url: z.string().min(1).max(2000) }),
      z.strictObject({ upload: z.string().refine(isDigest, 'expected the digest of an upload') }),
    ])
    .describe('`url`: of a git repository (`https://host/repo.git#branch:folder`) or of an archive.'),
  file: path.optional().describe('The Dockerfile, in the context.'),
  target: z.string().min(1).max(200).optional(),
  args: textMap(variable, { entries: 200, length: 32_768 }),
  labels: textMap(label, { entries: 200, length: 4096 }),
  platforms: z.array(platform).max(20).default([]),
  noCache: z.boolean().default(false),
  tags: z.array(pushedName).max(50).default([]).describe('What the image is called, in registries.'),
});

const run = z.strictObject({
  image: imageName,
  command: z.array(z.string().max(131_072)).max(1000).optional(),
  entrypoint: z.array(z.string().max(131_072)).max(1000).optional(),
  env: textMap(variable, { entries: 1000, length: 32_768 }),
  workdir: path.startsWith('/', 'expected an absolute path').optional(),
  user: z.string().min(1).max(200).optional(),
  limits: z
    .strictObject({
      cpus: z.number().positive().max(1024).optional(),
      memory: z
        .int()
        .min(6 * 2 ** 20)
        .optional()
        .describe('In bytes.'),
      pids: z.int().min(1).max(1_000_000).optional(),
    })
    .default({}),
  network: z.enum(['bridge', 'none']).default('bridge'),
  artifacts: z
    .array(
      z.strictObject({
        path: path.startsWith('/', 'expected an absolute path'),
        name: pushedName.describe('What the OCI artifact is called, in a registry.'),
      }),
    )
    .max(20)
    .default([]),
});

const settings = {
  name: z.string().min(1).max(200).optional(),
  priority: z.int().min(-100).max(100).default(0).describe('Larger is sooner.'),
  attempts: z.int().min(1).max(10).default(3).describe('How often it is tried when workers are lost.'),
  timeout: z
    .number()
    .min(1)
    .max(7 * DAY)
    .default(3600)
    .transform((seconds) => seconds * SECONDS)
    .describe('Seconds that an attempt may take.'),
  constraints: z
    .strictObject({
      platform: platform.optional(),
      labels: z
        .record(label, z.string().max(256))
        .optional()
        .refine((labels) => Object.keys(labels ?? {}).length <= 20, 'at most 20 labels'),
    })
    .default({})
    .describe('What its worker has to have.'),
  needs: z
    .array(z.string().min(1).max(200))
    .max(100)
    .default([])
    .describe('Jobs that have to succeed first: ids, or names of the same pipeline.'),
};

/** Which may be given for a job alone. */
const alone = {
  ...settings,
  dedupKey: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .describe('While a job of the tenant with the same key is not over, that one is meant.'),
  notBefore: givenMoment.optional(),
};

const tenant = z.string().min(1).max(200).default('default');

const member = z.discriminatedUnion('kind', [
  z.strictObject({ ...settings, kind: z.literal('build'), build }),
  z.strictObject({ ...settings, kind: z.literal('run'), run }),
]);

export const submission = z.discriminatedUnion('kind', [
  z.strictObject({ ...alone, tenant, kind: z.literal('build'), build }),
  z.strictObject({ ...alone, tenant, kind: z.literal('run'), run }),
  z.strictObject({
    tenant,
    kind: z.literal('pipeline'),
    jobs: z
      .record(z.string().regex(/^[\w.-]{1,100}$/, 'expected letters, digits, dots and dashes'), member)
      .refine((jobs) => Object.keys(jobs).length > 0 && Object.keys(jobs).length <= 500, '1 to 500 jobs'),
  }),
]);

/** What a trigger asks for, for its own tenant. Throws `invalid`. */
export function readSubmission(given: unknown): Submission {
  if (typeof given === 'object' && given !== null && 'tenant' in given) {
    throw invalid('body: job.tenant: it is the trigger’s');
  }
  return submissionOf(checkPart('body', submission, given) as z.output<typeof submission>);
}

export function submissionOf(given: z.output<typeof submission>): Submission {
  const { tenant: _, ...rest } = given;
  return rest satisfies Submission;
}

export const jobState = z.enum([
  'blocked',
  'delayed',
  'held',
  'queued',
  'running',
  'publishing',
  'succeeded',
  'failed',
  'canceled',
  'skipped',
]);

export const jobSummary = z.object({
  id: z.string(),
  tenant: z.string(),
  pipeline: z.string().optional(),
  name: z.string(),
  kind: z.string(),
  state: jobState,
  priority: z.int(),
  attempt: z.int().describe('How often it was tried.'),
  worker: z.string().optional(),
  error: z.string().optional().describe('Why it came to no good end.'),
  createdAt: moment,
  startedAt: moment.optional(),
  finishedAt: moment.optional(),
});

export const jobDetail = jobSummary.extend({
  ahead: z.int().optional().describe('How many jobs are before it, while it waits for a worker.'),
  cancelRequested: z.boolean(),
  spec: z.unknown(),
  result: z.unknown().describe('Exit code, digests, names.'),
});

export function summaryShape(job: Job): z.input<typeof jobSummary> {
  const { id, tenant: owner, pipeline, name, kind, state, priority, attempt, worker } = job;
  const error = (job.result as { error?: unknown } | null)?.error;
  return {
    id,
    tenant: owner,
    ...(pipeline !== null && { pipeline }),
    name,
    kind,
    state,
    priority,
    attempt,
    ...(worker !== null && { worker }),
    ...(typeof error === 'string' && { error }),
    createdAt: isoTime(job.createdAt),
    ...(job.startedAt !== null && { startedAt: isoTime(job.startedAt) }),
    ...(job.finishedAt !== null && { finishedAt: isoTime(job.finishedAt) }),
  };
}

export function detailShape(job: Job, ahead: number | undefined): z.input<typeof jobDetail> {
  return {
    ...summaryShape(job),
    ...(ahead !== undefined && { ahead }),
    cancelRequested: job.cancelReason !== null,
    spec: job.spec,
    result: job.result,
  };
}
