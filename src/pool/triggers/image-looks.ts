import { unlessGivenUp } from '#async/unless-given-up.ts';
import { messageOf, SlipwayError } from '#errors/errors.ts';
import type { Trigger } from './trigger.ts';
import type { TriggersRepository } from './triggers-repository.ts';

/** So many images are looked at at once by one process. */
const AT_ONCE = 8;
/** And so many of one tenant, whose registries may take their time. */
const AT_ONCE_OF_ONE = 2;
/** Milliseconds after which it is looked again whose time has come, though none that is looked at is over. */
const AGAIN = 1_000;

export type DueTrigger = Trigger & { readonly seen: string | null };

/** Looks at the images of triggers: what one tenant's registry takes its time over keeps nobody else's from being looked at. */
export class ImageLooks {
  readonly #rows: Pick<TriggersRepository, 'dueImages' | 'noteError'>;
  readonly #look: (trigger: DueTrigger, signal: AbortSignal | undefined) => Promise<number>;

  /** `look` answers how many jobs, or pipelines, were started; it puts the trigger's next time off before all else. */
  constructor(
    rows: Pick<TriggersRepository, 'dueImages' | 'noteError'>,
    look: (trigger: DueTrigger, signal: AbortSignal | undefined) => Promise<number>,
  ) {
    this.#rows = rows;
    this.#look = look;
  }

  /** Until there is none whose time has come; how many jobs were started. */
  async run(signal: AbortSignal | undefined): Promise<number> {
    const underWay = new Map<string, { readonly trigger: DueTrigger; readonly done: Promise<void> }>();
    const countOf = (tenant: string) =>
      [...underWay.values()].filter(({ trigger }) => trigger.tenant === tenant).length;
    let fired = 0;
    const failures: unknown[] = [];
    while (!signal?.aborted && failures.length === 0) {
      const busy = new Set([...underWay.values()].map(({ trigger }) => trigger.tenant));
      const except = [...busy].filter((tenant) => countOf(tenant) >= AT_ONCE_OF_ONE);
      const limit = AT_ONCE - underWay.size;
      const due = limit === 0 ? [] : await this.#rows.dueImages({ limit, ofOne: AT_ONCE_OF_ONE, except });
      for (const trigger of due) {
        if (underWay.has(trigger.id) || countOf(trigger.tenant) >= AT_ONCE_OF_ONE) continue;
        const done = this.#one(trigger, signal)
          .then((count) => {
            fired += count;
          })
          .catch((error: unknown) => void failures.push(error))
          .finally(() => underWay.delete(trigger.id));
        underWay.set(trigger.id, { trigger, done });
      }
      if (underWay.size === 0) break;
      const next = Promise.race([...underWay.values()].map(({ done }) => done));
      await unlessGivenUp(next, { within: AGAIN, signal });
    }
    await Promise.all([...underWay.values()].map(({ done }) => done));
    if (failures.length > 0) throw failures[0];
    return fired;
  }

  async #one(trigger: DueTrigger, signal: AbortSignal | undefined): Promise<number> {
    try {
      return await this.#look(trigger, signal);
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      // It is said of the image's registry, not of this process, which is about to stop.
      if (!signal?.aborted) await this.#rows.noteError(trigger.id, messageOf(error));
      return 0;
    }
  }
}
