import { randomUUID } from 'node:crypto';
import { messageOf, notFound } from '#errors/errors.ts';
import { newSecret, parseSecret } from '#webhooks/signature.ts';
import type { TargetPolicy } from '#webhooks/target-policy.ts';
import { type Actor, SYSTEM } from '../events/event.ts';
import type { EventFeed } from '../events/event-feed.ts';
import type { RecordedEvent } from '../events/recorded-event.ts';
import type { Consumer, RetryPlan } from '../outbox/consumer.ts';
import type { Delivery, DeliveryState, OutboxRepository } from '../outbox/outbox-repository.ts';
import type { Webhook, WebhookSettings } from './webhook.ts';
import { consumerName, WebhookConsumer } from './webhook-consumer.ts';
import type { WebhookSender } from './webhook-sender.ts';
import type { WebhooksRepository } from './webhooks-repository.ts';

/** How long the secret before goes on signing beside the new one. */
const SECRET_OVERLAP = 24 * 60 * 60_000;

/** Who is told of changes to content, and what became of what they were told. */
export class Webhooks {
  readonly #webhooks: WebhooksRepository;
  readonly #outbox: OutboxRepository;
  readonly #feed: EventFeed;
  readonly #targets: TargetPolicy;
  readonly #sender: WebhookSender;
  readonly #retry: RetryPlan;

  constructor(
    ports: {
      webhooks: WebhooksRepository;
      outbox: OutboxRepository;
      feed: EventFeed;
      targets: TargetPolicy;
      sender: WebhookSender;
    },
    options: { retry: RetryPlan },
  ) {
    this.#webhooks = ports.webhooks;
    this.#outbox = ports.outbox;
    this.#feed = ports.feed;
    this.#targets = ports.targets;
    this.#sender = ports.sender;
    this.#retry = options.retry;
  }

  /** It hears of what happens from now on. Throws `invalid` or `forbidden` for its URL or secret. */
  async create(settings: WebhookSettings, actor: Actor, secret?: string): Promise<Webhook> {
    this.#targets.check(settings.url);
    const now = Date.now();
    const webhook: Webhook = {
      ...settings,
      id: randomUUID(),
      secret: secret === undefined ? newSecret() : parseSecret(secret),
      previous: undefined,
      createdAt: now,
      updatedAt: now,
    };
    // The cursor first: a webhook that is there has heard of everything since.
    await this.#outbox.subscribe(consumerName(webhook.id), await this.#feed.head());
    await this.#webhooks.add(webhook, actor);
    return webhook;
  }

  /** Throws `not-found`, as all below. */
  async get(id: string): Promise<Webhook> {
    const webhook = await this.#webhooks.find(id);
    if (!webhook) throw unknown(id);
    return webhook;
  }

  async list(options: { limit: number; last?: string | undefined }): Promise<Webhook[]> {
    return await this.#webhooks.list(options);
  }

  /** What happened while it was disabled it does not hear of. */
  async change(id: string, changes: Partial<WebhookSettings>, actor: Actor): Promise<Webhook> {
    const before = await this.get(id);
    const { url, description, format, repositories, actions, enabled } = { ...before, ...changes };
    const settings = { url, description, format, repositories, actions, enabled };
    this.#targets.check(settings.url);
    if (settings.enabled && !before.enabled) {
      await this.#outbox.moveTo(consumerName(id), await this.#feed.head());
    }
    await this.#webhooks.change(id, settings, actor);
    return await this.get(id);
  }

  /** A new secret. The one before signs beside it for a day, so that the receiver can change over. */
  async rotateSecret(id: string, actor: Actor, secret?: string): Promise<Webhook> {
    const before = await this.get(id);
    const next = secret === undefined ? newSecret() : parseSecret(secret);
    const previous = { secret: before.secret, until: Date.now() + SECRET_OVERLAP };
    await this.#webhooks.setSecret(id, next, previous, actor);
    return await this.get(id);
  }

  async remove(id: string, actor: Actor): Promise<void> {
    if (!(await this.#webhooks.remove(id, actor))) throw unknown(id);
    await this.#outbox.unsubscribe(consumerName(id));
  }

  /** Sends a test event at once, past the outbox, and says what came of it. */
  async ping(id: string, options: { signal?: AbortSignal }): Promise<{ delivered: boolean; result: string }> {
    const webhook = await this.get(id);
    const message = { id: `ping-${randomUUID()}`, event: pingEvent() };
    try {
      const { status } = await this.#sender.send(webhook, message, options);
      return { delivered: status >= 200 && status < 300, result: `HTTP ${status}` };
    } catch (error) {
      return { delivered: false, result: messageOf(error) };
    }
  }

  async deliveries(
    id: string,
    options: { state?: DeliveryState | undefined; before?: number | undefined; limit: number },
  ): Promise<Delivery[]> {
    await this.get(id);
    return await this.#outbox.list(consumerName(id), options);
  }

  async redeliver(id: string, delivery: number): Promise<void> {
    if (!(await this.#outbox.redeliver(consumerName(id), delivery))) {
      throw notFound(`webhook ${id} has no delivery ${delivery}`);
    }
  }

  /** Those to deliver to now. */
  async consumers(): Promise<Consumer[]> {
    return (await this.#webhooks.enabled()).map(
      (webhook) =>
        new WebhookConsumer(
          webhook,
          {
            sender: this.#sender,
            onGone: async () => void (await this.#webhooks.disable(webhook.id, SYSTEM)),
          },
          { retry: this.#retry },
        ),
    );
  }
}

function pingEvent(): RecordedEvent {
  return {
    id: 0,
    at: Date.now(),
    action: 'ping',
    outcome: 'done',
    actor: 'system',
    address: null,
    userAgent: null,
    requestId: null,
    repository: null,
    digest: null,
    tag: null,
    mediaType: null,
    size: null,
    detail: null,
  };
}

function unknown(id: string) {
  return notFound(`there is no webhook ${id}`);
}
