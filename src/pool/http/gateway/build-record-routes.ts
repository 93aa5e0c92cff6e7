import { z } from 'zod';
import { cursorOf, pageQuery, readCursor } from '#api/page.ts';
import { PROBLEM_TYPE, problemOf } from '#api/problem.ts';
import { invalid, SlipwayError } from '#errors/errors.ts';
import type { EngineContext, EngineRouter } from '#worker/http/router.ts';
import type { BuildHomes } from '../../gateway/build-homes.ts';
import type { Answer } from '../../gateway/worker-client.ts';
import type { LivingWorker } from '../../gateway/workers.ts';
import { askAll } from './ask-all.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { pass, reply } from './pass.ts';

const PREFIX = '/api/v1/builds';

interface Page<Item> {
  readonly items: readonly Item[];
  readonly next?: string;
}

interface Summary {
  readonly id: string;
  readonly createdAt: string;
}

/** Logs are searched worker by worker: who is at it, and how far. */
const searchCursor = z.tuple([z.string(), z.string().optional()]);

/** `/api/v1/builds`: builds of the past and those under way, of all workers, as one worker tells of its own. */
export function buildRecordRoutes(
  router: EngineRouter,
  parts: GatewayParts,
  { homes }: { homes: BuildHomes },
): void {
  router.get(PREFIX, (ctx) => withProblems(ctx, () => list(ctx, parts)));
  router.get(`${PREFIX}/search`, (ctx) => withProblems(ctx, () => search(ctx, parts)));
  router.all(/^\/api\/v1\/builds\/([^/]+)(?:\/.*)?$/, (ctx) =>
    withProblems(ctx, async () => pass(ctx, parts, await workerOf(decoded(ctx), parts, homes))),
  );
}

/** A page's cursor is a place in time, and so one in each worker's list. */
async function list(ctx: EngineContext, parts: GatewayParts): Promise<void> {
  const answers = await askAll(ctx, parts);
  if (!answers) return problem(ctx);
  const pages = answers.map(({ body }) => body as Page<Summary>);
  const found = pages.flatMap(({ items }) => items).toSorted(newestFirst);
  const { limit } = pageQuery.pick({ limit: true }).parse(ctx.query);
  const items = found.slice(0, limit);
  const last = items.at(-1);
  const goesOn = found.length > limit || pages.some(({ next }) => next !== undefined);
  ctx.body = { items, ...(goesOn && last && { next: cursorOf([last.createdAt, last.id]) }) };
}

/** The newest build first of each worker, one worker after the other. */
async function search(ctx: EngineContext, parts: GatewayParts): Promise<void> {
  const query = new URLSearchParams(ctx.querystring);
  const [name = '', cursor] = readCursor(searchCursor, query.get('cursor') ?? undefined) ?? [];
  const [worker, next] = (await parts.workers.some()).filter((each) => each.name >= name);
  if (!worker) {
    ctx.body = { items: [] };
    return;
  }
  query.delete('cursor');
  if (cursor !== undefined && worker.name === name) query.set('cursor', cursor);
  const answer = await parts.client.ask(worker, { path: `${PREFIX}/search?${query}` });
  if (answer.status >= 300) return refuse(ctx, answer);
  const { items, next: more } = answer.body as Page<object>;
  const position = more !== undefined ? [worker.name, more] : next && [next.name];
  ctx.body = { items, ...(position && { next: cursorOf(position) }) };
}

/** Of one that nobody has, any worker says so. */
async function workerOf(
  id: string,
  { workers, client }: GatewayParts,
  homes: BuildHomes,
): Promise<LivingWorker> {
  const known = await homes.buildNow(id);
  if (known) return known;
  const all = await workers.some();
  for (const worker of all) {
    const { status } = await client.ask(worker, { path: `${PREFIX}/${encodeURIComponent(id)}` });
    if (status === 200) return worker;
  }
  return all[0]!;
}

function newestFirst(a: Summary, b: Summary): number {
  return Date.parse(b.createdAt) - Date.parse(a.createdAt) || (a.id < b.id ? -1 : 1);
}

function decoded(ctx: EngineContext): string {
  try {
    return decodeURIComponent(ctx.captures?.[0] ?? '');
  } catch (cause) {
    throw invalid('this is no id of a build', { cause });
  }
}

async function withProblems(ctx: EngineContext, task: () => Promise<void>): Promise<void> {
  ctx.set('Cache-Control', 'no-store');
  try {
    await task();
  } catch (error) {
    if (!(error instanceof SlipwayError) || ctx.res.headersSent) throw error;
    ctx.status = problemOf(error).status;
    ctx.body = problemOf(error);
    problem(ctx);
  }
}

function refuse(ctx: EngineContext, answer: Answer): void {
  reply(ctx, answer);
  problem(ctx);
}

function problem(ctx: EngineContext): void {
  ctx.type = PROBLEM_TYPE;
}
