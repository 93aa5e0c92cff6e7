import { isKind, messageOf } from '#errors/errors.ts';
import type { Publication } from './job-queue.ts';
import type { PublishingRepository } from './publishing-repository.ts';

/** PORT: names in registries. */
export interface Names {
  /**
   * Has tags mean what is in their repository under a digest. Doing it again changes nothing. Throws `unavailable` when
   * it may go better later. `tenant`: with whose accounts; undefined: with the pool's.
   */
  give(publication: Publication, tenant: string | undefined): Promise<void>;
}

/** Milliseconds after which another process goes on with what one has begun. */
export const PUBLISHING_LEASE = 30_000;
/** And after which it is given up, since the job began to be published or its timeout. */
const PATIENCE = 15 * 60_000;

/** Gives what jobs have made its names. Only a claim that was good at its end brings a job here, so it is done once. */
export class Publisher {
  readonly #rows: PublishingRepository;
  readonly #names: Names;
  readonly #ended: (id: string) => Promise<void>;

  /** `ended` hears of jobs that are over. */
  constructor(ports: { rows: PublishingRepository; names: Names; ended: (id: string) => Promise<void> }) {
    this.#rows = ports.rows;
    this.#names = ports.names;
    this.#ended = ports.ended;
  }

  /** Of a job whose `result` says what; `patient`: what does not work yet may work later. */
  async publish(id: string, result: unknown, patient = true): Promise<void> {
    const given = result as { readonly publications?: readonly Publication[] } | null;
    const tenant = await this.#rows.confinedTo(id);
    try {
      for (const publication of given?.publications ?? []) await this.#names.give(publication, tenant);
    } catch (error) {
      if (isKind(error, 'unavailable') && patient) return;
      const failed = { ...given, error: `its results could not be given their names: ${messageOf(error)}` };
      if (await this.#rows.end(id, { state: 'failed', result: failed })) await this.#ended(id);
      return;
    }
    if (await this.#rows.end(id, { state: 'succeeded', result })) await this.#ended(id);
  }

  /** Goes on with what other processes have begun, or what did not work before. */
  async resume(): Promise<void> {
    for (const { id, result, since } of await this.#rows.take(PUBLISHING_LEASE)) {
      await this.publish(id, result, since < PATIENCE);
    }
  }
}
