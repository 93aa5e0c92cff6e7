import { conflict, unavailable } from '#errors/errors.ts';
import { fitForPlatforms, type Runs } from './fit-for-platforms.ts';

/** What is known of a worker when something has to go somewhere. */
export interface Candidate extends Runs {
  readonly name: string;
  readonly state: 'ready' | 'draining';
  readonly labels: Readonly<Record<string, string>>;
  readonly cpus: number;
  /** Containers. */
  readonly load: number;
  /** Which part of the image it has already, in layers: 0 to 1. */
  readonly image: number;
}

export interface Constraint {
  readonly key: string;
  readonly operator: '==' | '!=';
  readonly value: string;
}

export interface Wish {
  /** Workers that have what it needs: all of them have to be one. */
  readonly pinned?: readonly { readonly worker: string; readonly because: string }[];
  readonly constraints?: readonly Constraint[];
  /** `linux/arm64` */
  readonly platform?: string | undefined;
}

export type Strategy = 'spread' | 'binpack';

/** A worker counts as full at so many containers a core. */
const FULL = 32;
/** What an image that is there is worth, in containers. */
const IMAGE = 0.5;

/** `zone==a`, `zone!=a`; undefined for anything else. */
export function parseConstraint(text: string): Constraint | undefined {
  const [, key, operator, value] = /^([^=!\s]+)\s*(==|!=)\s*(.+)$/.exec(text.trim()) ?? [];
  if (key === undefined || value === undefined) return undefined;
  return { key, operator: operator as '==' | '!=', value: value.trim() };
}

/**
 * The worker for something new. Throws `conflict` when what it needs is on several, or where it may not be, and
 * `unavailable` when none fits.
 */
export function place<C extends Candidate>(candidates: readonly C[], wish: Wish, strategy: Strategy): C {
  const fitting = candidates.filter((candidate) => fits(candidate, wish));
  const platforms = wish.platform === undefined ? [] : [wish.platform];
  const [first, ...others] = wish.pinned ?? [];
  if (first) {
    const apart = others.find(({ worker }) => worker !== first.worker);
    if (apart) {
      throw conflict(
        `${first.because} is on worker ${first.worker}, ${apart.because} is on worker ${apart.worker}: ` +
          'what belongs together has to be on one worker',
      );
    }
    const [found] = fitForPlatforms(
      fitting.filter(({ name }) => name === first.worker),
      platforms,
    );
    if (found) return found;
    if (!candidates.some(({ name }) => name === first.worker)) {
      throw unavailable(`worker ${first.worker}, which has ${first.because}, is away`);
    }
    throw conflict(`${first.because} is on worker ${first.worker}, which is not what was asked for`);
  }
  const ready = fitting.filter(({ state }) => state === 'ready');
  const open = fitForPlatforms(ready, platforms);
  // One look at each: a pool may have a thousand workers.
  let best: C | undefined;
  for (const candidate of open) if (!best || order(candidate, best, strategy) < 0) best = candidate;
  if (best) return best;
  throw unavailable(`no worker of the pool fits${shown(wish)}`);
}

function fits({ name, labels }: Candidate, { constraints = [] }: Wish): boolean {
  return constraints.every(({ key, operator, value }) => {
    const actual = key === 'worker' || key === 'node' ? name : labels[key];
    return (actual === value) === (operator === '==');
  });
}

function order(a: Candidate, b: Candidate, strategy: Strategy): number {
  const difference = strategy === 'spread' ? busy(a) - busy(b) : packed(b) - packed(a);
  return difference || (a.name < b.name ? -1 : 1);
}

function busy({ load, image, cpus }: Candidate): number {
  return (load + (1 - image) * IMAGE) / cpus;
}

/** The full ones last. */
function packed(candidate: Candidate): number {
  const { load, image, cpus } = candidate;
  return load >= FULL * cpus ? -load / cpus : (load + image * IMAGE) / cpus;
}

function shown({ constraints = [], platform }: Wish): string {
  const parts = constraints.map(({ key, operator, value }) => `${key}${operator}${value}`);
  const all = platform === undefined ? parts : [`platform ${platform}`, ...parts];
  return all.length > 0 ? `: ${all.join(', ')}` : '';
}
