import type { RecordedEvent } from './recorded-event.ts';

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
