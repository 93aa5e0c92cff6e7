import { notFound } from '#errors/errors.ts';
import { filtersQuery, numberQuery } from '#worker/http/query.ts';
import type { EngineContext } from '#worker/http/router.ts';
import { askAll, type WorkerAnswer } from './ask-all.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { queryOf, versioned } from './pass.ts';

interface Summary {
  readonly Id: string;
  readonly Created: number;
}

/** The newest first, as on one engine, and always in the same order. */
export async function listContainers(ctx: EngineContext, parts: GatewayParts): Promise<void> {
  const query = queryOf(ctx);
  const filters = filtersQuery(ctx);
  const limit = numberQuery(ctx, 'limit') ?? 0;
  const [before, since] = [
    await sibling(parts, filters.get('before')),
    await sibling(parts, filters.get('since')),
  ];
  filters.delete('before');
  filters.delete('since');
  query.set('filters', JSON.stringify(Object.fromEntries(filters)));
  const answers = await askAll(ctx, parts, { path: versioned(ctx, '/containers/json', query) });
  if (!answers) return;
  const rows = (await Promise.all(answers.map((answer) => byOneClock(answer, parts)))).flat();
  const ages = await Ages.of([...rows, ...[before, since].filter((it) => it !== undefined)], parts);
  const all = rows
    .filter((row) => (!before || ages.compare(before, row) < 0) && (!since || ages.compare(row, since) < 0))
    .toSorted((a, b) => ages.compare(a, b));
  ctx.body = limit > 0 ? all.slice(0, limit) : all;
}

/** With times of this gateway's clock. */
async function byOneClock({ worker, body }: WorkerAnswer, { clocks }: GatewayParts): Promise<Summary[]> {
  const ahead = await clocks.ahead(worker);
  const rows = body as Summary[];
  if (ahead === 0) return rows;
  // What was measured is good to a fraction of a second, which would move some times by one second and others by none.
  const seconds = Math.round(ahead / 1000);
  return rows.map((row) => ({ ...row, Created: row.Created - seconds }));
}

/** When containers were made: workers tell seconds, and within one, the pool's clock. */
class Ages {
  readonly #placed: ReadonlyMap<string, number>;

  constructor(placed: ReadonlyMap<string, number>) {
    this.#placed = placed;
  }

  /** Of those that are of one second in all but a worker's own list. */
  static async of(rows: readonly Summary[], { placements }: GatewayParts): Promise<Ages> {
    const seconds = new Map<number, number>();
    for (const { Created } of rows) seconds.set(Created, (seconds.get(Created) ?? 0) + 1);
    const alike = rows.filter(({ Created }) => seconds.get(Created)! > 1);
    return new Ages(alike.length > 0 ? await placements.madeAt(alike.map(({ Id }) => Id)) : new Map());
  }

  /** Negative when `a` is the newer one. */
  compare(a: Summary, b: Summary): number {
    const within = (this.#placed.get(b.Id) ?? 0) - (this.#placed.get(a.Id) ?? 0);
    return b.Created - a.Created || within || (a.Id < b.Id ? -1 : a.Id > b.Id ? 1 : 0);
  }
}

/** A container that others are older or newer than: workers know only their own. */
async function sibling(
  parts: GatewayParts,
  references: readonly string[] | undefined,
): Promise<Summary | undefined> {
  const reference = references?.at(-1);
  if (reference === undefined) return undefined;
  const worker = await parts.objects.workerOf('container', reference);
  const { status, body } = await parts.client.ask(worker, {
    path: `/containers/${encodeURIComponent(reference)}/json`,
  });
  if (status !== 200) throw notFound(`No such container: ${reference}`);
  const summary = { Id: body.Id, Created: Math.floor(Date.parse(body.Created) / 1000) };
  return (await byOneClock({ worker, status, body: [summary] }, parts))[0];
}
