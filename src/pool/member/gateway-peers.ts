import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { unlessGivenUp } from '#async/unless-given-up.ts';
import { canceled, isKind, messageOf, unavailable } from '#errors/errors.ts';
import type { PeerWish, PeerWorker, PeerWorkers } from '#worker/buildkit/peer/peer-workers.ts';

/** What is needed of a worker's place in its pool. */
interface PoolLink {
  /** Asks as of the lease. Throws what the pool says, `unavailable`. */
  ask(method: 'POST', path: string, body: unknown): Promise<unknown>;
  open(
    path: string,
    options: { headers: Readonly<Record<string, string | string[]>>; signal: AbortSignal },
  ): Promise<Duplex>;
}

/** It is asked so often whether a worker is still there, in milliseconds. */
const LOOK = 2_000;
/** Nobody is asked again so soon for a platform that no worker is of. */
const SILENCE = 5_000;
const PATIENCE = 5_000;
/** Clients name platforms: so many that nobody is of are remembered. */
const MOST_ABSENT = 100;

const found = z.object({ worker: z.string().nullable() });
const refused = { worker: null };
const alive = z.object({ alive: z.boolean() });

/** The other workers of the pool, by way of its gateways. A worker serves before it has joined its pool: `use` comes later. */
export class GatewayPeers {
  #pool: PoolLink | undefined;
  readonly #absent = new Map<string, number>();

  /** From now on asks this. */
  use(pool: PoolLink): void {
    this.#pool = pool;
  }

  /** For a tenant, or undefined for the operator. */
  of(tenant: string | undefined): PeerWorkers {
    return { find: (wish, { signal }) => this.#find(tenant ?? null, wish, signal) };
  }

  async #find(tenant: string | null, wish: PeerWish, signal: AbortSignal): Promise<PeerWorker | undefined> {
    const pool = this.#pool;
    if (!pool || performance.now() < (this.#absent.get(wish.platform) ?? 0)) return undefined;
    const asked = pool
      .ask('POST', '/peers/find', {
        ...wish,
        affinity: hashed(wish.affinity),
        ...(tenant !== null && { tenant }),
      })
      .then((answer) => found.parse(answer));
    const answer = await unlessGivenUp(asked, { within: PATIENCE, signal }).catch((error: unknown) => {
      // A build that was asked of this worker itself is none of the pool's.
      if (isKind(error, 'forbidden')) return refused;
      // Whatever it says otherwise (it may be of an earlier version), nobody was found, and the step may be done here.
      throw unavailable(`the pool does not say who does it: ${messageOf(error)}`, { cause: error });
    });
    if (signal.aborted) throw canceled();
    if (!answer) throw unavailable('the pool does not answer');
    if (answer === refused) return undefined;
    if (answer.worker !== null) return this.#peer(pool, tenant, answer.worker);
    if (wish.without.length === 0) this.#isAbsent(wish.platform);
    return undefined;
  }

  #isAbsent(platform: string): void {
    const now = performance.now();
    // In the order in which they were put in, which is that of their ends.
    for (const [known, until] of this.#absent) {
      if (until > now && this.#absent.size < MOST_ABSENT) break;
      this.#absent.delete(known);
    }
    this.#absent.delete(platform);
    this.#absent.set(platform, now + SILENCE);
  }

  #peer(pool: PoolLink, tenant: string | null, name: string): PeerWorker {
    const path = `/peers/${encodeURIComponent(name)}`;
    const query = tenant === null ? '' : `?tenant=${encodeURIComponent(tenant)}`;
    return {
      name,
      connect: (to, options) => pool.open(`${path}${to}${query}`, options),
      async lost(signal) {
        while (!signal.aborted) {
          await sleep(LOOK, undefined, { signal }).catch(() => undefined);
          if (signal.aborted) return;
          const asked = pool
            .ask('POST', '/peers/alive', { worker: name })
            .then((answer) => alive.parse(answer));
          // Who does not know of it cannot say that it is gone.
          const answer = await unlessGivenUp(asked, { within: PATIENCE, signal }).catch(() => undefined);
          if (answer?.alive === false) return;
        }
      },
    };
  }
}

/** Of any length, as clients say it. */
function hashed(affinity: string): string {
  return createHash('sha256').update(affinity).digest('hex');
}
