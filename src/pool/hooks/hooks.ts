import { isKind, messageOf } from '#errors/errors.ts';
import { postWebhook } from '#webhooks/post-webhook.ts';
import { newSecret, parseSecret, signatureHeaders } from '#webhooks/signature.ts';
import type { TargetPolicy } from '#webhooks/target-policy.ts';
import type { DeliveriesRepository, HookDelivery } from './deliveries-repository.ts';
import type { HooksRepository, JobHook, WantedHook } from './hooks-repository.ts';

interface Ports {
  readonly hooks: HooksRepository;
  readonly deliveries: DeliveriesRepository;
  readonly targets: TargetPolicy;
  /** Of hooks that tenants' own clients make. */
  readonly confinedTargets: TargetPolicy;
}

/** In milliseconds. */
const TIMEOUT = 10_000;
const LEASE = 60_000;
const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 3_600_000;
/** The last one is about a day after the first. */
const TRIES = 30;
const AT_ONCE = 16;

/** Tells others of jobs, by HTTP: at least once each, whatever process dies. */
export class Hooks {
  readonly #ports: Ports;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** The secret is told this once. Throws `invalid`, `forbidden` for a URL; `not-found` for a tenant. */
  async add({ secret, ...wanted }: Omit<WantedHook, 'secret'> & { secret?: string | undefined }) {
    this.#targetsOf(wanted).check(wanted.url);
    const given = secret === undefined ? newSecret() : parseSecret(secret);
    return { hook: await this.#ports.hooks.add({ ...wanted, secret: given }), secret: given };
  }

  list(tenant: string | undefined, options: { confined?: boolean } = {}): Promise<JobHook[]> {
    return this.#ports.hooks.list(tenant, options);
  }

  get(id: string): Promise<JobHook> {
    return this.#ports.hooks.get(id);
  }

  remove(id: string): Promise<void> {
    return this.#ports.hooks.remove(id);
  }

  /** Says what is to be said by now; how many were tried. */
  async deliver(signal?: AbortSignal): Promise<number> {
    const taken = await this.#ports.deliveries.take(AT_ONCE, LEASE);
    await Promise.all(taken.map((delivery) => this.#deliver(delivery, signal)));
    return taken.length;
  }

  #targetsOf({ confined = false }: { readonly confined?: boolean }): TargetPolicy {
    return confined ? this.#ports.confinedTargets : this.#ports.targets;
  }

  async #deliver(delivery: HookDelivery, signal: AbortSignal | undefined): Promise<void> {
    const { deliveries } = this.#ports;
    const { result, again, retryAfter } = await this.#send(delivery, signal);
    if (signal?.aborted) return;
    if (!again || delivery.tries >= TRIES) return await deliveries.settle(delivery, result);
    const pause = Math.min(FIRST_PAUSE * 2 ** (delivery.tries - 1), LONGEST_PAUSE);
    await deliveries.putOff(delivery, Math.max(pause, retryAfter ?? 0), result);
  }

  async #send(delivery: HookDelivery, signal: AbortSignal | undefined) {
    const { hook } = delivery;
    const body = JSON.stringify(eventOf(delivery));
    const id = `job-${delivery.id}`;
    const headers = {
      'content-type': 'application/cloudevents+json',
      ...signatureHeaders({ id, at: Date.now(), body }, [hook.secret]),
    };
    try {
      const { status, retryAfter } = await postWebhook(
        this.#targetsOf(hook),
        { url: hook.url, headers, body },
        { timeout: TIMEOUT, signal },
      );
      // 410: it wants nothing any more.
      return {
        result: `HTTP ${status}`,
        again: !(status >= 200 && status < 300) && status !== 410,
        retryAfter,
      };
    } catch (error) {
      return { result: messageOf(error), again: !isKind(error, 'invalid'), retryAfter: undefined };
    }
  }
}

/** CloudEvents 1.0. */
function eventOf({ id, job, state, attempt, at }: HookDelivery) {
  return {
    specversion: '1.0',
    id: `job-${id}`,
    source: '/api/v1/jobs',
    type: `io.slipway.job.${state}`,
    subject: job.id,
    time: new Date(at).toISOString(),
    datacontenttype: 'application/json',
    data: {
      job: job.id,
      ...(job.pipeline !== null && { pipeline: job.pipeline }),
      tenant: job.tenant,
      name: job.name,
      kind: job.kind,
      state,
      attempt,
      ...(state !== 'running' && { result: job.result }),
    },
  };
}
