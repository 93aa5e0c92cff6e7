import { randomBytes } from 'node:crypto';
import { unlessGivenUp } from '#async/unless-given-up.ts';
import {
  canceled,
  conflict,
  type ErrorKind,
  invalid,
  isKind,
  messageOf,
  SlipwayError,
  unavailable,
} from '#errors/errors.ts';
import type { Jobs, Submission } from '../jobs/jobs.ts';
import { nextTime } from './cron.ts';
import { type DueTrigger, ImageLooks } from './image-looks.ts';
import { readPush, type Sent } from './pushes.ts';
import { fillIn } from './template.ts';
import { type EventValues, SAMPLE_VALUES, type Trigger, type TriggerSource } from './trigger.ts';
import type { TriggersRepository } from './triggers-repository.ts';

/** PORT: what images mean in their registries. */
export interface ImageDigests {
  /** As a tenant sees it, or else the pool itself. Throws `not-found`, `unavailable`, `unauthorized`. */
  digestOf(image: string, options: { tenant?: string; signal?: AbortSignal | undefined }): Promise<string>;
}

/** PORT: what tenants may as of now. All of it throws `forbidden`. */
export interface ConfinedRules {
  /** `conflict` when they have too many. */
  checkSubmission(tenant: string, submission: Submission): Promise<void>;
  checkImage(tenant: string, image: string): Promise<void>;
}

interface Ports {
  readonly rows: TriggersRepository;
  readonly jobs: Jobs;
  readonly digests: ImageDigests;
  readonly rules: ConfinedRules;
  /** Checks what somebody asks for, as the API has it. Throws `invalid`. */
  readonly read: (submission: unknown) => Submission;
}

/** What somebody says a trigger is. */
export interface WantedTrigger {
  readonly source: TriggerSource;
  readonly submission: unknown;
  readonly enabled: boolean;
  /** For events: instead of one that is made up. */
  readonly secret?: string | undefined;
}

const BATCH = 100;
/** Milliseconds in which a registry has to say what an image means. */
const DEADLINE = 10_000;
const TOLD: Partial<Record<ErrorKind, string>> = {
  'not-found': 'the registry has no such image',
  unauthorized: 'the registry does not show this image to the tenant’s account',
  'too-many': 'the registry was asked too often',
};
/** Milliseconds after which a time counts as missed. */
const LATE = 60_000;
/** And for which an event that comes again is known. */
const EVENTS_KEPT = 30 * 86_400_000;

/** What asks for jobs by itself. Any number of processes may serve it: each time, event and change starts jobs once. */
export class Triggers {
  readonly #ports: Ports;
  readonly #looks: ImageLooks;
  readonly #deadline: number;

  /** `deadline`: milliseconds in which a registry has to say what an image means. */
  constructor(ports: Ports, { deadline = DEADLINE }: { deadline?: number } = {}) {
    this.#ports = ports;
    this.#deadline = deadline;
    this.#looks = new ImageLooks(ports.rows, (trigger, signal) => this.#onLook(trigger, signal));
  }

  /**
   * Makes a trigger, or changes one; the secret of a new one that takes events is told this once. `confined`: its tenant's own
   * clients ask. Throws `invalid`, `conflict` for somebody else's name, `forbidden` for what a tenant may not.
   */
  async put(
    tenant: string,
    name: string,
    { source, submission, enabled, secret }: WantedTrigger,
    { confined = false }: { confined?: boolean } = {},
  ): Promise<{ trigger: Trigger; secret?: string }> {
    const { rows } = this.#ports;
    await this.#check({ tenant, confined, source });
    await this.#jobsOf({ tenant, confined, submission }, SAMPLE_VALUES[source.kind]);
    const takesEvents = source.kind === 'git' || source.kind === 'registry';
    if (secret !== undefined && !takesEvents) throw invalid('only what takes events has a secret');
    const before = await rows.get(tenant, name).catch((error: unknown) => {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    });
    const made = takesEvents && secret === undefined && !before?.hasSecret ? newSecretFor(source) : undefined;
    const dueAt = this.#firstTime(source, await rows.now());
    const wanted = { source, submission, enabled, dueAt, confined, secret: secret ?? made ?? null };
    return { trigger: await rows.put(tenant, name, wanted), ...(made !== undefined && { secret: made }) };
  }

  list(tenant: string | undefined, options: { confined?: boolean } = {}): Promise<Trigger[]> {
    return this.#ports.rows.list(tenant, options);
  }

  get(tenant: string, name: string): Promise<Trigger> {
    return this.#ports.rows.get(tenant, name);
  }

  remove(tenant: string, name: string): Promise<void> {
    return this.#ports.rows.remove(tenant, name);
  }

  /** Starts jobs for all schedules whose time has come; how many there were. Stops early when the database is away. */
  async fireDue(signal?: AbortSignal): Promise<number> {
    const { rows } = this.#ports;
    let fired = 0;
    for (const trigger of await rows.dueSchedules(BATCH)) {
      if (signal?.aborted) break;
      try {
        const { source } = trigger;
        if (source.kind === 'schedule') fired += await this.#onTime(trigger, source);
      } catch (error) {
        if (!(error instanceof SlipwayError)) throw error;
        await rows.noteError(trigger.id, messageOf(error));
      }
    }
    return fired;
  }

  /** The same for images that are to be looked at, which takes as long as their registries do. */
  async lookAtImages(signal?: AbortSignal): Promise<number> {
    return await this.#looks.run(signal);
  }

  /**
   * An event that somebody sends. The id of what it starts; undefined for what the trigger does not wait for, and for what
   * it was told before. Throws `not-found`, `unauthorized`, `invalid`, `conflict` for one that is switched off.
   */
  async receive(id: string, sent: Sent): Promise<string | undefined> {
    const { rows } = this.#ports;
    const { trigger, secret } = await rows.receiver(id);
    const { source } = trigger;
    if (source.kind !== 'git' && source.kind !== 'registry') throw invalid('this trigger takes no events');
    const { event, values } = readPush(source, sent, { secret, now: await rows.now() });
    if (!trigger.enabled) throw conflict(`the trigger ${trigger.name} is switched off`);
    if (!values) return undefined;
    try {
      const made = await this.#jobsOf(trigger, values);
      return await this.#fired(rows.fire({ trigger, dueAt: null, event }, made));
    } catch (error) {
      if (error instanceof SlipwayError) await rows.noteError(trigger.id, messageOf(error));
      throw error;
    }
  }

  forgetEvents(): Promise<void> {
    return this.#ports.rows.forgetEvents(EVENTS_KEPT);
  }

  async #onTime(trigger: Trigger, source: Extract<TriggerSource, { kind: 'schedule' }>): Promise<number> {
    const { rows } = this.#ports;
    const now = await rows.now();
    const planned = trigger.dueAt!;
    const firing = { trigger, dueAt: nextTime(source.cron, source.timeZone, now) };
    if (source.missed === 'skip' && now - planned > LATE) {
      await rows.fire(firing, { jobs: [] });
      return 0;
    }
    try {
      const values = { time: new Date(planned).toISOString() };
      const made = await this.#jobsOf(trigger, values);
      return (await this.#fired(rows.fire(firing, made))) === undefined ? 0 : 1;
    } catch (error) {
      // What cannot be asked for now is not asked for each second.
      if (error instanceof SlipwayError && !isKind(error, 'unavailable'))
        await rows.fire(firing, { jobs: [] });
      throw error;
    }
  }

  async #onLook(trigger: DueTrigger, signal: AbortSignal | undefined): Promise<number> {
    const { rows } = this.#ports;
    const { source } = trigger;
    if (source.kind !== 'image') return 0;
    const dueAt = (await rows.now()) + source.every;
    if (!(await rows.take(trigger, dueAt))) return 0;
    await this.#check(trigger);
    const { image } = source;
    const digest = await this.#digestOf(image, trigger, signal);
    if (digest === trigger.seen) return 0;
    const firing = { trigger, dueAt, seen: digest };
    // What was there before there was a trigger is no news.
    const made = trigger.seen === null ? { jobs: [] } : await this.#jobsOf(trigger, { image, digest });
    const id = await this.#fired(rows.fire(firing, made));
    return id === undefined || id === '' ? 0 : 1;
  }

  async #digestOf(
    image: string,
    { tenant, confined }: Trigger,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const late = AbortSignal.timeout(this.#deadline);
    const given = signal ? AbortSignal.any([signal, late]) : late;
    try {
      const asked = this.#ports.digests.digestOf(image, { ...(confined && { tenant }), signal: given });
      const digest = await unlessGivenUp(asked, { signal: given });
      if (digest !== undefined) return digest;
    } catch (error) {
      if (!late.aborted) throw confined ? toldToTenant(error) : error;
    }
    if (signal?.aborted) throw canceled();
    throw unavailable(`the registry did not answer within ${this.#deadline / 1000} seconds`);
  }

  async #check({ tenant, confined, source }: Pick<Trigger, 'tenant' | 'confined' | 'source'>): Promise<void> {
    if (confined && source.kind === 'image') await this.#ports.rules.checkImage(tenant, source.image);
  }

  /** What a tenant may is what it may now, not when it made the trigger. */
  async #jobsOf(
    { tenant, confined, submission }: Pick<Trigger, 'tenant' | 'confined' | 'submission'>,
    values: EventValues,
  ) {
    const { read, jobs, rules } = this.#ports;
    const asked = read(fillIn(submission, values));
    if (confined) await rules.checkSubmission(tenant, asked);
    const made = await jobs.newJobs(tenant, asked);
    return { ...made, jobs: made.jobs.map((job) => ({ ...job, confined })) };
  }

  async #fired(firing: Promise<string | undefined>): Promise<string | undefined> {
    const id = await firing;
    if (id) this.#ports.jobs.wake();
    return id;
  }

  #firstTime(source: TriggerSource, now: number): number | null {
    if (source.kind === 'schedule') return nextTime(source.cron, source.timeZone, now);
    return source.kind === 'image' ? now : null;
  }
}

/** What a tenant hears of a registry: not what that says, as a name may have led to something else of the pool's network. */
function toldToTenant(error: unknown): unknown {
  if (!(error instanceof SlipwayError)) return error;
  const what = TOLD[error.kind] ?? 'the registry does not answer, or may not be asked for a tenant';
  return new SlipwayError(error.kind, what, { cause: error });
}

/** As who sends events wants it. */
function newSecretFor({ kind }: TriggerSource): string {
  return kind === 'registry'
    ? `whsec_${randomBytes(32).toString('base64')}`
    : randomBytes(32).toString('base64url');
}
