import { fitForPlatforms, type Runs } from './fit-for-platforms.ts';
import { weightOf } from './weight-of.ts';

/** What is known of where a build should go. */
export interface BuildWish {
  /** It has to be this worker: its client's session is there. */
  readonly pinned?: string | undefined;
  /** `linux/arm64`: all that it is for. A worker that need not emulate them is waited for, if there is one. */
  readonly platforms?: readonly string[] | undefined;
  /** Images that it stands on, as far as the request says. */
  readonly images?: readonly string[] | undefined;
}

export interface BuildTurn {
  readonly id: number;
  readonly tenant: string;
  readonly project: string;
  readonly wish: BuildWish;
  /** The worker that it has; undefined while it waits. */
  readonly worker: string | undefined;
  /** Another build waits for this one, and has its place: it does not count, and does not wait. */
  readonly exempt: boolean;
}

export interface BuildWorker extends Runs {
  readonly name: string;
  readonly state: 'ready' | 'draining';
  /** How many builds it does at once. */
  readonly slots: number;
  /** Builds of the queue of jobs that it is at. */
  readonly jobs: number;
}

/** What workers' caches have, better the larger. */
export interface Warmth {
  /** When a worker built something of a project last, in milliseconds since 1970; undefined for never. */
  builtAt(turn: Pick<BuildTurn, 'tenant' | 'project'>, worker: string): number | undefined;
  /** How many of the images a worker has. */
  images(turn: BuildTurn, worker: string): number;
}

/** How much busier than the idlest a worker may be and still get a build whose caches it has, in builds. */
const SLACK = 2;

/**
 * The order in which builds that wait get workers: those of whoever has the fewest builds under way first, and of these
 * the oldest.
 */
export function inTurn(turns: readonly BuildTurn[]): BuildTurn[] {
  const under = new Map<string, number>();
  const count = (tenant: string) => under.get(tenant) ?? 0;
  for (const { worker, tenant } of turns) if (worker !== undefined) under.set(tenant, count(tenant) + 1);
  const waiting = turns.filter(({ worker }) => worker === undefined).toSorted((a, b) => a.id - b.id);
  const ordered: BuildTurn[] = [];
  while (waiting.length > 0) {
    const fewest = Math.min(...waiting.map(({ tenant }) => count(tenant)));
    const at = waiting.findIndex(({ tenant }) => count(tenant) === fewest);
    const [next] = waiting.splice(at, 1);
    under.set(next!.tenant, fewest + 1);
    ordered.push(next!);
  }
  return ordered;
}

/** Gives workers to builds that wait, as far as there is room: the workers of those that got one, by the builds' ids. */
export function admit(
  turns: readonly BuildTurn[],
  workers: readonly BuildWorker[],
  warmth: Warmth,
): Map<number, string> {
  const busy = new Map(workers.map(({ name, jobs }) => [name, jobs]));
  for (const { worker, exempt } of turns) {
    if (worker !== undefined && !exempt) busy.set(worker, (busy.get(worker) ?? 0) + 1);
  }
  const admitted = new Map<number, string>();
  for (const turn of inTurn(turns)) {
    const worker = choose(turn, workers, busy, warmth);
    if (!worker) continue;
    admitted.set(turn.id, worker.name);
    if (!turn.exempt) busy.set(worker.name, busy.get(worker.name)! + 1);
  }
  return admitted;
}

function choose(
  turn: BuildTurn,
  workers: readonly BuildWorker[],
  busy: ReadonlyMap<string, number>,
  warmth: Warmth,
): BuildWorker | undefined {
  const { pinned, platforms = [] } = turn.wish;
  const hasRoom = ({ name, slots }: BuildWorker) => turn.exempt || busy.get(name)! < slots;
  if (pinned !== undefined) return workers.find((worker) => worker.name === pinned && hasRoom(worker));
  const ready = workers.filter(({ state }) => state === 'ready');
  const fitting = fitForPlatforms(ready, platforms);
  // Where nothing is run, only copied, any will do; where something is, it says that it cannot.
  const free = (fitting.length > 0 ? fitting : ready).filter(hasRoom);
  const load = ({ name }: BuildWorker) => busy.get(name)!;
  let least = Infinity;
  for (const worker of free) least = Math.min(least, load(worker));
  // One look at each: a pool may have a thousand workers.
  let best: { readonly worker: BuildWorker; readonly rank: Rank } | undefined;
  for (const worker of free) {
    if (load(worker) > least + SLACK) continue;
    const rank = rankOf(turn, worker.name, load(worker), warmth);
    if (!best || comesBefore(rank, best.rank)) best = { worker, rank };
  }
  return best?.worker;
}

interface Rank {
  readonly builtAt: number;
  readonly images: number;
  readonly load: number;
  /** Each project has an order of workers of its own, which workers that come or go do not change otherwise. */
  readonly order: () => number;
}

function comesBefore(a: Rank, b: Rank): boolean {
  const difference = b.builtAt - a.builtAt || b.images - a.images || a.load - b.load;
  return difference === 0 ? a.order() >= b.order() : difference < 0;
}

function rankOf(turn: BuildTurn, worker: string, load: number, warmth: Warmth): Rank {
  let order: number | undefined;
  return {
    builtAt: (turn.project === '' ? undefined : warmth.builtAt(turn, worker)) ?? 0,
    images: warmth.images(turn, worker),
    load,
    order: () => {
      order ??= weightOf(turn.project, worker);
      return order;
    },
  };
}
