import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import { isDigest } from '#oci/digest.ts';
import type { Claimant } from '../jobs/job.ts';
import type { JobQueue } from '../jobs/job-queue.ts';
import type { Summons } from '../jobs/summons.ts';

/** Where workers ask: each request is one of a worker that is known by its certificate. */
interface WorkerRoutes {
  authenticate(req: IncomingMessage): Promise<Claimant>;
  route(path: string, task: (req: IncomingMessage, body: unknown) => Promise<unknown>): void;
}

const PIECE = 512 * 1024;

const claim = z.strictObject({ id: z.string().max(200), attempt: z.int().positive() });
const position = z.int().min(0);
const base64 = z.base64().max(PIECE * 2);
const digest = z.string().refine(isDigest, 'expected a digest');
const json = z.record(z.string().max(200), z.unknown());
const publication = z.strictObject({
  repository: z.string().max(500),
  digest,
  tags: z.array(z.string().max(200)).max(100),
});
const outcome = z.strictObject({
  state: z.enum(['succeeded', 'failed', 'canceled']),
  result: json,
  publications: z.array(publication).max(100),
});

/** What `GatewayJobQueue` asks for, answered by the queue itself. */
export function queueRoutes(
  workers: WorkerRoutes,
  { queue, summons }: { queue: JobQueue; summons: Summons },
): void {
  const on = <T>(what: string, shape: z.ZodType<T>, task: (by: Claimant, body: T) => Promise<unknown>) =>
    workers.route(`POST /jobs/${what}`, async (req, body) => {
      const by = await workers.authenticate(req);
      const checked = shape.safeParse(body);
      if (!checked.success) throw invalid(`${what}: ${checked.error.issues[0]?.message}`);
      return await task(by, checked.data);
    });

  on('claims', z.strictObject({ limit: z.int().min(1).max(1024) }), async (by, { limit }) => ({
    jobs: await queue.claim(by, limit),
  }));
  on('held', z.strictObject({}), async (by) => ({ claims: await queue.held(by) }));
  on('log-size', z.strictObject({ claim }), async (_by, asked) => ({
    size: await queue.logSize(asked.claim),
  }));
  on('log', z.strictObject({ claim, start: position, data: base64 }), async (by, asked) => ({
    good: await queue.log(asked.claim, by, asked.start, Buffer.from(asked.data, 'base64')),
  }));
  on('end', z.strictObject({ claim, outcome }), async (by, asked) => ({
    good: await queue.end(asked.claim, by, asked.outcome),
  }));
  on('give-back', z.strictObject({ claim, reason: z.string().max(10_000) }), async (by, asked) => ({
    good: await queue.giveBack(asked.claim, by, asked.reason),
  }));
  on('context', z.strictObject({ claim, digest, start: position }), async (by, asked) => ({
    data: (await pieceOf(await queue.openContext(asked.claim, by, asked.digest, asked.start))).toString(
      'base64',
    ),
  }));
  const wait = z.strictObject({
    seen: z.int().min(-1),
    patience: z.int().min(0).max(8_000),
    free: z.int().min(0).max(1024),
  });
  on('news', wait, async (claimant, { seen, patience, free }) => {
    // Another gateway, or this one since it began anew, has counted otherwise.
    const since = seen > summons.now ? -1 : seen;
    await summons.wait({ claimant, free }, since, patience, new AbortController().signal);
    return { seen: summons.now };
  });
}

async function pieceOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of source) {
    pieces.push(bytes);
    size += bytes.length;
    if (size >= PIECE) break;
  }
  return Buffer.concat(pieces).subarray(0, PIECE);
}
