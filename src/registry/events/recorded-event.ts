import type { Selectable } from 'kysely';
import type { EventsTable } from '#database/registry/events-schema.ts';

/** An event as it was recorded. */
export interface RecordedEvent {
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly action: string;
  readonly outcome: 'done' | 'denied';
  readonly actor: string;
  readonly address: string | null;
  readonly userAgent: string | null;
  readonly requestId: string | null;
  readonly repository: string | null;
  readonly digest: string | null;
  readonly tag: string | null;
  readonly mediaType: string | null;
  /** In bytes. */
  readonly size: number | null;
  readonly detail: Readonly<Record<string, unknown>> | null;
}

export function toRecordedEvent(row: Selectable<EventsTable>): RecordedEvent {
  const { user_agent: userAgent, request_id: requestId, media_type: mediaType, detail, ...rest } = row;
  return {
    ...rest,
    userAgent,
    requestId,
    mediaType,
    detail: detail === null ? null : (JSON.parse(detail) as RecordedEvent['detail']),
  };
}
