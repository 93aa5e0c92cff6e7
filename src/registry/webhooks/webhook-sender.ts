import { type Answer, postWebhook } from '#webhooks/post-webhook.ts';
import { signatureHeaders } from '#webhooks/signature.ts';
import type { TargetPolicy } from '#webhooks/target-policy.ts';
import type { RecordedEvent } from '../events/recorded-event.ts';
import { type EventSource, envelop } from './envelopes.ts';
import type { Webhook } from './webhook.ts';

/** Sends one event to one webhook, signed. */
export class WebhookSender {
  readonly #targets: TargetPolicy;
  readonly #source: EventSource;
  readonly #timeout: number;

  constructor(ports: { targets: TargetPolicy }, options: { source: EventSource; timeout: number }) {
    this.#targets = ports.targets;
    this.#source = options.source;
    this.#timeout = options.timeout;
  }

  /** `id` names the delivery: the same at every attempt. Throws when there is no answer in time. */
  async send(
    webhook: Webhook,
    message: { id: string; event: RecordedEvent },
    options: { signal?: AbortSignal } = {},
  ): Promise<Answer> {
    const { contentType, body } = envelop(message.event, webhook.format, this.#source);
    const now = Date.now();
    const { previous } = webhook;
    const secrets = [webhook.secret, ...(previous && previous.until > now ? [previous.secret] : [])];
    const headers = {
      'content-type': contentType,
      ...signatureHeaders({ id: message.id, at: now, body }, secrets),
    };
    return await postWebhook(
      this.#targets,
      { url: webhook.url, headers, body },
      { timeout: this.#timeout, signal: options.signal },
    );
  }
}
