import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { invalid } from '#errors/errors.ts';
import { parseMoment } from '#worker/containers/list/moment.ts';
import { requestSignal } from '#worker/http/request-signal.ts';
import type { EngineContext, EngineRouter } from '#worker/http/router.ts';
import { ABSENT } from '../../gateway/worker-client.ts';
import type { LivingWorker } from '../../gateway/workers.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { queryOf, versioned } from './pass.ts';

/** How often it is looked for workers that came since, in milliseconds. */
const LOOK = 2_000;

interface Stamped {
  readonly timeNano: number;
  readonly line: string;
}

/** The events of all workers: what was, in order of time; what happens, as it is heard of. */
export function poolEventRoutes(router: EngineRouter, parts: GatewayParts): void {
  router.get('/events', async (ctx) => {
    const query = queryOf(ctx);
    const signal = requestSignal(ctx);
    const now = moment(Date.now());
    const since = query.get('since');
    const until = query.get('until');
    // An end that is yet to come is waited for live.
    const isOver = until !== null && parseMoment(until) <= parseMoment(now);
    const past = since ? await history(ctx, parts, { query, until: isOver ? until : now, signal }) : [];
    ctx.respond = false;
    ctx.res.statusCode = 200;
    ctx.res.setHeader('Content-Type', 'application/json');
    ctx.res.flushHeaders();
    const write = async (line: string) => {
      if (!ctx.res.write(`${line}\n`)) await once(ctx.res, 'drain', { signal }).catch(() => undefined);
    };
    for (const { line } of past) await write(line);
    if (!since || !isOver) {
      if (since) query.set('since', now);
      await follow(ctx, parts, { query, signal, write });
    }
    ctx.res.end();
  });
}

/** What has been, of every worker. */
async function history(
  ctx: EngineContext,
  parts: GatewayParts,
  { query, until, signal }: { query: URLSearchParams; until: string; signal: AbortSignal },
): Promise<Stamped[]> {
  const bounded = new URLSearchParams(query);
  bounded.set('until', until);
  const all = await Promise.all(
    (await parts.workers.some()).map(async (worker) => {
      const { answer, lines } = await ask(ctx, parts, { worker, query: bounded, signal });
      if (isAbsent(answer)) return [];
      if (answer.statusCode !== 200) throw invalid((await textOf(answer)) || 'invalid query');
      const found: Stamped[] = [];
      for await (const line of lines) found.push({ line, timeNano: JSON.parse(line).timeNano });
      return found;
    }),
  );
  return all.flat().toSorted((a, b) => a.timeNano - b.timeNano);
}

/** Until the client has had enough, or all workers have reached the end that it named. */
async function follow(
  ctx: EngineContext,
  parts: GatewayParts,
  {
    query,
    signal,
    write,
  }: { query: URLSearchParams; signal: AbortSignal; write: (line: string) => Promise<void> },
): Promise<void> {
  const heard = new Map<string, Promise<void>>();
  const listen = async (worker: LivingWorker) => {
    try {
      const { answer, lines } = await ask(ctx, parts, { worker, query, signal });
      if (isAbsent(answer)) return void heard.delete(worker.name);
      for await (const line of lines) await write(line);
    } catch (error) {
      if (!signal.aborted) parts.log.debug({ err: error, worker: worker.name }, 'no more events of a worker');
    }
  };
  const look = async () => {
    for (const worker of await parts.workers.living()) {
      if (!heard.has(worker.name)) heard.set(worker.name, listen(worker));
    }
  };
  await look();
  if (query.has('until')) {
    await Promise.all(heard.values());
    return;
  }
  const timer = setInterval(() => void look().catch(() => undefined), LOOK);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  clearInterval(timer);
}

/** The events of one worker. What is asked for and what is told are times of this gateway's clock. */
async function ask(
  ctx: EngineContext,
  { clocks, client }: GatewayParts,
  { worker, query, signal }: { worker: LivingWorker; query: URLSearchParams; signal: AbortSignal },
): Promise<{ answer: IncomingMessage; lines: AsyncIterable<string> }> {
  const ahead = await clocks.ahead(worker);
  const path = versioned(ctx, '/events', ahead === 0 ? query : moved(query, ahead));
  const answer = await client.open(worker, { path, signal });
  return { answer, lines: ahead === 0 ? linesOf(answer) : movedBack(linesOf(answer), ahead) };
}

/** One that has no engine for the client has nothing to tell. */
function isAbsent(answer: IncomingMessage): boolean {
  if (answer.statusCode !== ABSENT) return false;
  answer.resume();
  return true;
}

function moved(query: URLSearchParams, ahead: number): URLSearchParams {
  const there = new URLSearchParams(query);
  for (const bound of ['since', 'until']) {
    const text = query.get(bound);
    if (text) there.set(bound, moment(parseMoment(text) + ahead));
  }
  return there;
}

async function* movedBack(lines: AsyncIterable<string>, ahead: number): AsyncGenerator<string> {
  for await (const line of lines) {
    const event = JSON.parse(line) as { time: number; timeNano: number };
    const timeNano = event.timeNano - ahead * 1e6;
    yield JSON.stringify({ ...event, time: Math.floor(timeNano / 1e9), timeNano });
  }
}

async function* linesOf(answer: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    yield* lines.filter((line) => line !== '');
  }
  if (rest !== '') yield rest;
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  try {
    return (JSON.parse(text) as { message: string }).message;
  } catch {
    return text.slice(0, 1024);
  }
}

/** Seconds and what is below: as `since` and `until` have it. */
function moment(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(3);
}
