import type { RecordedEvent } from '../events/recorded-event.ts';
import type { WebhookFormat } from './webhook.ts';

/** A body and its type. */
export interface Envelope {
  readonly contentType: string;
  readonly body: string;
}

/** Who sends: what the events are said to come from. */
export interface EventSource {
  /** The registry's address for clients, such as `https://registry.example.com`. */
  readonly origin: string;
  /** Names this process or cluster. */
  readonly instance: string;
}

/** Puts an event into words that the receiver knows. */
export function envelop(event: RecordedEvent, format: WebhookFormat, source: EventSource): Envelope {
  return format === 'distribution' ? notification(event, source) : cloudEvent(event, source);
}

/** Distribution's notifications (distribution, docs/content/about/notifications.md). */
function notification(event: RecordedEvent, { origin, instance }: EventSource): Envelope {
  const { repository, digest, tag, mediaType, size } = event;
  const kind = event.action.startsWith('blob.') ? 'blobs' : 'manifests';
  const address = new URL(origin);
  const body = {
    events: [
      {
        id: String(event.id),
        timestamp: new Date(event.at).toISOString(),
        action: event.action.slice(event.action.indexOf('.') + 1),
        target: {
          ...(mediaType !== null && { mediaType }),
          ...(size !== null && { size, length: size }),
          ...(digest !== null && { digest, url: `${origin}/v2/${repository}/${kind}/${digest}` }),
          ...(repository !== null && { repository }),
          ...(tag !== null && { tag }),
          ...(typeof event.detail?.from === 'string' && { fromRepository: event.detail.from }),
        },
        request: {
          id: event.requestId ?? '',
          addr: event.address ?? '',
          host: address.host,
          method: '',
          useragent: event.userAgent ?? '',
        },
        actor: { name: event.actor },
        source: { addr: address.host, instanceID: instance },
      },
    ],
  };
  return {
    contentType: 'application/vnd.docker.distribution.events.v2+json',
    body: JSON.stringify(body),
  };
}

/** CloudEvents 1.0 in the structured mode of its HTTP binding. */
function cloudEvent(event: RecordedEvent, { origin }: EventSource): Envelope {
  const { repository, digest, tag, mediaType, size, detail } = event;
  const body = {
    specversion: '1.0',
    id: String(event.id),
    source: origin,
    type: `io.slipway.${event.action}`,
    subject: `${repository ?? ''}${tag !== null ? `:${tag}` : ''}${digest !== null ? `@${digest}` : ''}`,
    time: new Date(event.at).toISOString(),
    datacontenttype: 'application/json',
    data: {
      action: event.action,
      repository,
      ...(digest !== null && { digest }),
      ...(tag !== null && { tag }),
      ...(mediaType !== null && { mediaType }),
      ...(size !== null && { size }),
      ...(detail !== null && { detail }),
      actor: event.actor,
    },
  };
  return { contentType: 'application/cloudevents+json', body: JSON.stringify(body) };
}
