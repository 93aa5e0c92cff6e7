import http from 'node:http';
import https from 'node:https';
import type { RecordedEvent } from '../events/recorded-event.ts';
import { type EventSource, envelop } from './envelopes.ts';
import { signatureHeaders } from './signature.ts';
import type { TargetPolicy } from './target-policy.ts';
import type { Webhook } from './webhook.ts';

/** What the receiver answered. */
export interface Answer {
  readonly status: number;
  /** What it asked for with `Retry-After`, in milliseconds. */
  readonly retryAfter: number | undefined;
}

/** Sends one event to one webhook, signed. Redirects are not followed: they would lead past the policy's check. */
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
    const url = this.#targets.check(webhook.url);
    const { contentType, body } = envelop(message.event, webhook.format, this.#source);
    const now = Date.now();
    const { previous } = webhook;
    const secrets = [webhook.secret, ...(previous && previous.until > now ? [previous.secret] : [])];
    const deadline = AbortSignal.timeout(this.#timeout);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const request = (url.protocol === 'https:' ? https : http).request(url, {
      method: 'POST',
      agent: false,
      lookup: this.#targets.lookup as never,
      headers: {
        'content-type': contentType,
        'content-length': Buffer.byteLength(body),
        'user-agent': 'Slipway-Webhooks',
        ...signatureHeaders({ id: message.id, at: now, body }, secrets),
      },
      signal: options.signal ? AbortSignal.any([deadline, options.signal]) : deadline,
    });
    request.once('error', (error) => {
      reject(deadline.aborted ? new Error(`no answer within ${this.#timeout / 1000} seconds`) : error);
    });
    request.once('response', (response) => {
      const seconds = response.headers['retry-after'];
      const retryAfter = seconds && /^\d{1,5}$/.test(seconds) ? Number(seconds) * 1000 : undefined;
      resolve({ status: response.statusCode ?? 0, retryAfter });
      // What it has to say beyond that is not read.
      response.on('error', () => {});
      response.destroy();
    });
    request.end(body);
    return await promise;
  }
}
