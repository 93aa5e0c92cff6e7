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

/**
 * Reads events in the order in which they became visible, each once. A cursor is text that only the feed reads; `''` is
 * the beginning. No event that commits later has its place before a cursor that was handed out.
 */
export interface EventFeed {
  /** Behind the newest event: where one begins who wants to hear of what comes. */
  head(): Promise<string>;

  /** Up to `limit` events behind a cursor, and the cursor behind them. None: the cursor that was given. */
  after(cursor: string, limit: number): Promise<{ events: RecordedEvent[]; cursor: string }>;
}
