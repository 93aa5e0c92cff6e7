import type { RecordedEvent } from '../events/recorded-event.ts';
import type { Consumer, Outcome, RetryPlan } from '../outbox/consumer.ts';
import type { Delivery } from '../outbox/outbox-repository.ts';
import { type Webhook, wants } from './webhook.ts';
import type { WebhookSender } from './webhook-sender.ts';

export function consumerName(id: string): string {
  return `webhook:${id}`;
}

/** A webhook as the outbox sees it. */
export class WebhookConsumer implements Consumer {
  readonly name: string;
  readonly retry: RetryPlan;
  readonly concurrency = 4;
  readonly #webhook: Webhook;
  readonly #sender: WebhookSender;
  readonly #onGone: () => Promise<void>;

  /** `onGone`: the receiver says that it wants nothing any more. */
  constructor(
    webhook: Webhook,
    ports: { sender: WebhookSender; onGone: () => Promise<void> },
    options: { retry: RetryPlan },
  ) {
    this.name = consumerName(webhook.id);
    this.retry = options.retry;
    this.#webhook = webhook;
    this.#sender = ports.sender;
    this.#onGone = ports.onGone;
  }

  wants(event: RecordedEvent): boolean {
    return wants(this.#webhook, event);
  }

  async deliver({ id, event }: Delivery, { signal }: { signal: AbortSignal }): Promise<Outcome> {
    const { status, retryAfter } = await this.#sender.send(
      this.#webhook,
      { id: `delivery-${id}`, event },
      { signal },
    );
    const result = `HTTP ${status}`;
    if (status >= 200 && status < 300) return { kind: 'delivered', result };
    if (status !== 410) return { kind: 'failed', result, retryAfter };
    await this.#onGone();
    return { kind: 'refused', result: `${result}: the webhook is disabled` };
  }
}
