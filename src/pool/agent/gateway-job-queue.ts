import { unlessGivenUp } from '#async/unless-given-up.ts';
import type { Claim, Claimant, ClaimedJob, HeldClaim } from '../jobs/job.ts';
import type { JobQueue, Outcome } from '../jobs/job-queue.ts';
import type { Waiter } from '../jobs/summons.ts';

/** PORT: asks the pool's gateway for something, in the name of this worker's lease. Throws what it says, `unavailable`. */
export interface GatewayLink {
  ask(method: 'POST', path: string, body?: unknown): Promise<unknown>;
}

/** So much of a log or an archive in one message. */
const PIECE = 512 * 1024;
/** So long, in milliseconds, a question for news may take. */
const LONGEST_WAIT = 5_000;

/** The queue of a worker that reaches it by its gateway. Who it is, the link says. */
export class GatewayJobQueue implements JobQueue {
  readonly #link: GatewayLink;
  #seen = -1;

  constructor(link: GatewayLink) {
    this.#link = link;
  }

  async claim(_claimant: Claimant, limit: number): Promise<ClaimedJob[]> {
    return (await this.#ask<{ jobs: ClaimedJob[] }>('claims', { limit })).jobs;
  }

  async held(): Promise<HeldClaim[]> {
    return (await this.#ask<{ claims: HeldClaim[] }>('held', {})).claims;
  }

  async logSize(claim: Claim): Promise<number> {
    return (await this.#ask<{ size: number }>('log-size', { claim: onlyClaim(claim) })).size;
  }

  async log(claim: Claim, _claimant: Claimant, start: number, bytes: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes.length; at += PIECE) {
      const data = Buffer.from(bytes.subarray(at, at + PIECE)).toString('base64');
      const asked = { claim: onlyClaim(claim), start: start + at, data };
      if (!(await this.#good('log', asked))) return false;
    }
    return true;
  }

  end(claim: Claim, _claimant: Claimant, outcome: Outcome): Promise<boolean> {
    return this.#good('end', { claim: onlyClaim(claim), outcome });
  }

  giveBack(claim: Claim, _claimant: Claimant, reason: string): Promise<boolean> {
    return this.#good('give-back', { claim: onlyClaim(claim), reason });
  }

  async openContext(claim: Claim, _claimant: Claimant, digest: string): Promise<AsyncIterable<Uint8Array>> {
    const ask = async (start: number) =>
      Buffer.from(
        (await this.#ask<{ data: string }>('context', { claim: onlyClaim(claim), digest, start })).data,
        'base64',
      );
    // What is wrong is said at once.
    const first = await ask(0);
    return (async function* () {
      let piece = first;
      for (let at = 0; piece.length > 0; piece = await ask(at)) {
        yield piece;
        at += piece.length;
      }
    })();
  }

  async news({ free }: Waiter, patience: number, signal: AbortSignal): Promise<void> {
    const asked = this.#ask<{ seen: number }>('news', {
      seen: this.#seen,
      patience: Math.min(patience, LONGEST_WAIT),
      free,
    });
    // An answer that comes too late says nothing that the next one will not.
    const answer = await unlessGivenUp(asked, { signal });
    if (answer) this.#seen = answer.seen;
  }

  async #good(what: string, body: object): Promise<boolean> {
    return (await this.#ask<{ good: boolean }>(what, body)).good;
  }

  async #ask<T>(what: string, body: object): Promise<T> {
    return (await this.#link.ask('POST', `/jobs/${what}`, body)) as T;
  }
}

function onlyClaim({ id, attempt }: Claim): Claim {
  return { id, attempt };
}
