import type { Logger } from 'pino';
import { isKind, messageOf, notFound, SlipwayError, unavailable } from '#errors/errors.ts';
import type { AskOptions, Upstream } from './upstream.ts';

/** One that did not answer is asked last for so many milliseconds: each client would wait for its silence. */
const FAILURE_REST = 10_000;
/** One that wants fewer requests without saying for how long is left alone for so many milliseconds. */
const LIMIT_REST = 60_000;
const MAX_REST = 60 * 60_000;

interface Rest {
  readonly until: number;
  readonly limited: boolean;
}

/** Registries that have the same content, asked one after another until one has an answer. */
export class Upstreams {
  readonly #upstreams: readonly Upstream[];
  readonly #logger: Logger;
  readonly #rests = new Map<Upstream, Rest>();

  constructor(upstreams: readonly Upstream[], ports: { logger: Logger }) {
    this.#upstreams = upstreams;
    this.#logger = ports.logger;
  }

  /**
   * The first answer. What `ask` throws, a wrong digest for one, makes the next upstream's turn. Throws `not-found` when
   * every one of them says so; else `too-many` or `unavailable`: one that did not answer may have it.
   */
  async ask<T>(
    ask: (upstream: Upstream, options: AskOptions) => Promise<T>,
    { signal }: AskOptions,
  ): Promise<T> {
    const failures: unknown[] = [];
    for (const upstream of this.#order()) {
      const rest = this.#rest(upstream);
      if (rest?.limited) {
        failures.push(limited(upstream, rest.until));
        continue;
      }
      try {
        const answer = await ask(upstream, { signal });
        this.#rests.delete(upstream);
        return answer;
      } catch (error) {
        signal.throwIfAborted();
        if (isAbsence(error)) {
          failures.push(error);
          continue;
        }
        this.#note(upstream, error);
        failures.push(error);
      }
    }
    throw verdict(failures);
  }

  /** As they were given, those that failed a moment ago last. */
  #order(): Upstream[] {
    const rested = (upstream: Upstream) => (this.#rest(upstream) ? 1 : 0);
    return [...this.#upstreams].sort((a, b) => rested(a) - rested(b));
  }

  #rest(upstream: Upstream): Rest | undefined {
    const rest = this.#rests.get(upstream);
    if (!rest || rest.until > Date.now()) return rest;
    this.#rests.delete(upstream);
    return undefined;
  }

  #note(upstream: Upstream, error: unknown): void {
    this.#logger.warn({ upstream: upstream.name, reason: messageOf(error) }, 'an upstream failed');
    const tooMany = isKind(error, 'too-many');
    const length = tooMany ? waitOf(error) : FAILURE_REST;
    this.#rests.set(upstream, { until: Date.now() + length, limited: tooMany });
  }
}

/** What is not there, and what is kept from us, is not to be had. */
export function isAbsence(error: unknown): boolean {
  return isKind(error, 'not-found') || isKind(error, 'unauthorized') || isKind(error, 'forbidden');
}

function limited(upstream: Upstream, until: number) {
  const detail = { retryAfterMs: Math.max(until - Date.now(), 0) };
  return new SlipwayError('too-many', `${upstream.name} has had enough requests of us`, { detail });
}

function verdict(failures: readonly unknown[]): SlipwayError {
  const present = failures.filter((error) => !isAbsence(error));
  if (present.length === 0) return notFound('no upstream has it');
  const waits = failures.map((error) => (isKind(error, 'too-many') ? waitOf(error) : undefined));
  if (waits.includes(undefined)) {
    return unavailable('no upstream could be reached', { code: 'UNAVAILABLE', cause: present[0] });
  }
  const retryAfter = Math.ceil(Math.min(...(waits as number[])) / 1000);
  return new SlipwayError('too-many', 'upstream has had enough requests', {
    code: 'TOOMANYREQUESTS',
    detail: { retryAfter },
  });
}

/** How long an upstream asked to be left alone, in milliseconds. */
function waitOf({ detail }: SlipwayError): number {
  return Math.min((detail as { retryAfterMs?: number } | undefined)?.retryAfterMs ?? LIMIT_REST, MAX_REST);
}
