import { once } from 'node:events';
import type { EngineContext } from '../router.ts';

/** Answers with a line of JSON for each, no faster than the client takes them. Throws what the lines do. */
export async function sendLines(
  ctx: EngineContext,
  lines: AsyncIterable<object>,
  signal: AbortSignal,
): Promise<void> {
  ctx.respond = false;
  const { res } = ctx;
  res.statusCode = 200;
  res.setHeader('Content-Type', 'application/x-ndjson');
  res.flushHeaders();
  for await (const line of lines) {
    if (!res.write(`${JSON.stringify(line)}\n`)) await once(res, 'drain', { signal });
  }
  res.end();
}
