import { notFound } from '#errors/errors.ts';
import type { TenantIdentity } from '../tenants/tenant-header.ts';
import { requireAsked } from './asked-names.ts';
import type { Claimed, ClaimsRepository } from './claims-repository.ts';
import type { Contexts } from './contexts.ts';
import { type Claim, type Claimant, type ClaimedJob, CONFINED, type HeldClaim } from './job.ts';
import type { JobLogs } from './job-logs.ts';
import type { JobQueue, Outcome } from './job-queue.ts';
import type { JobsRepository } from './jobs-repository.ts';
import { PUBLISHING_LEASE, type Publisher } from './publisher.ts';
import { meets } from './requirement.ts';
import type { RequirementsRepository } from './requirements-repository.ts';
import type { Summons, Waiter } from './summons.ts';

interface Ports {
  readonly rows: JobsRepository;
  readonly claims: ClaimsRepository;
  readonly requirements: RequirementsRepository;
  /** Those of these tenants that there are. */
  readonly tenants: (names: readonly string[]) => Promise<ReadonlyMap<string, TenantIdentity>>;
  readonly logs: JobLogs;
  readonly contexts: Contexts;
  readonly publisher: Publisher;
  readonly summons: Summons;
  /** Hears of jobs that are over. */
  readonly ended: (id: string) => Promise<void>;
  /** Hears of ends that were not heard: another has the job, or it is over. */
  readonly refused?: (claim: Claim, claimant: Claimant) => void;
}

/** The queue, for one agent in a process that has the pool's database. */
export class DatabaseJobQueue implements JobQueue {
  readonly #ports: Ports;
  #seen = -1;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  async claim(claimant: Claimant, limit: number): Promise<ClaimedJob[]> {
    const { claims, requirements } = this.#ports;
    const queued = await requirements.queued();
    if (queued.length === 0) return [];
    const offer = await requirements.offerOf(claimant);
    if (!offer) return [];
    const met = queued.filter((requirement) => meets(offer, requirement));
    return await this.#identified(await claims.claim(claimant, met, limit));
  }

  /** With whose they are, of those that tenants have asked for. */
  async #identified(claimed: readonly Claimed[]): Promise<ClaimedJob[]> {
    const names = new Set(claimed.filter(({ confined }) => confined).map(({ tenant }) => tenant));
    const tenants = await this.#ports.tenants([...names]);
    return claimed.map(({ confined, ...job }) => {
      if (!confined) return job;
      // Of a tenant that was removed it is to end, and is nobody's until then.
      return { ...job, kind: `${CONFINED}${job.kind}`, confinedTo: tenants.get(job.tenant) };
    });
  }

  held(claimant: Claimant): Promise<HeldClaim[]> {
    return this.#ports.claims.of(claimant);
  }

  logSize({ id }: Claim): Promise<number> {
    return this.#ports.logs.size(id);
  }

  log(claim: Claim, claimant: Claimant, start: number, bytes: Uint8Array): Promise<boolean> {
    return this.#ports.logs.append(claim, claimant, start, bytes);
  }

  async end(claim: Claim, claimant: Claimant, { state, result, publications }: Outcome): Promise<boolean> {
    const { rows, claims, publisher, ended, refused, summons } = this.#ports;
    const refuse = () => {
      refused?.(claim, claimant);
      return false;
    };
    if (publications.length > 0) requireAsked((await rows.get(claim.id)).spec, publications);
    if (state === 'succeeded' && publications.length > 0) {
      const all = { ...result, publications };
      if (!(await claims.publish(claim, claimant, all, PUBLISHING_LEASE))) return refuse();
      await publisher.publish(claim.id, all);
    } else {
      if (!(await claims.end(claim, claimant, { state, result }))) return refuse();
      await ended(claim.id);
    }
    // What it stood in the way of may be claimed now.
    summons.queued();
    return true;
  }

  async giveBack(claim: Claim, claimant: Claimant, reason: string): Promise<boolean> {
    const given = await this.#ports.claims.giveBack(claim, claimant, reason);
    this.#ports.summons.queued();
    return given;
  }

  async openContext(
    claim: Claim,
    claimant: Claimant,
    digest: string,
    start = 0,
  ): Promise<AsyncIterable<Uint8Array>> {
    const { rows, claims, contexts } = this.#ports;
    const held = (await claims.of(claimant)).some(
      ({ id, attempt }) => id === claim.id && attempt === claim.attempt,
    );
    if (!held) throw notFound(`job ${claim.id} is not this worker's`);
    return await contexts.open((await rows.get(claim.id)).tenant, digest, start);
  }

  async news(waiter: Waiter, patience: number, signal: AbortSignal): Promise<void> {
    const { summons } = this.#ports;
    await summons.wait(waiter, this.#seen, patience, signal);
    this.#seen = summons.now;
  }
}
