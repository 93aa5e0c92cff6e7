import type { EngineEvent, EventPublisher } from './event-publisher.ts';
import { FineClock } from './fine-clock.ts';

/** An event with the time it happened. */
export interface StampedEvent extends EngineEvent {
  /** Nanoseconds since the epoch, ever increasing; a double holds them to a quarter of a microsecond. */
  readonly timeNano: number;
}

export interface EventSubscription {
  /** Milliseconds since the epoch: begin with the past, as far as it is kept. */
  readonly since?: number;
  /** End there; in the past, only what is kept is given. */
  readonly until?: number;
  readonly matches?: (event: EngineEvent) => boolean;
  readonly signal: AbortSignal;
}

const KEPT = 256;
/** A reader that is this far behind is cut off: events may not pile up for one that does not read. */
const MAX_BEHIND = 16_384;

/** What happens on the worker, for whoever wants to know; the last of it is kept for those who ask later. */
export class EventBus implements EventPublisher {
  readonly #past: StampedEvent[] = [];
  readonly #readers = new Set<Reader>();
  readonly #clock = new FineClock();

  get listeners(): number {
    return this.#readers.size;
  }

  publish(event: EngineEvent): void {
    const stamped = { ...event, timeNano: this.#clock.now() };
    this.#past.push(stamped);
    if (this.#past.length > KEPT) this.#past.shift();
    for (const reader of this.#readers) reader.offer(stamped);
  }

  /** Listens from the moment of the call. Ends at `until`, or when the signal aborts. */
  subscribe({ since, until, matches = () => true, signal }: EventSubscription): AsyncIterable<StampedEvent> {
    const untilNano = until === undefined ? Number.POSITIVE_INFINITY : until * 1e6;
    const wanted = (event: StampedEvent) => event.timeNano <= untilNano && matches(event);
    const past = since === undefined ? [] : this.#past.filter((event) => event.timeNano >= since * 1e6);
    const reader = new Reader(past.filter(wanted), wanted);
    this.#readers.add(reader);
    return this.#read(reader, until, signal);
  }

  async *#read(reader: Reader, until: number | undefined, signal: AbortSignal): AsyncGenerator<StampedEvent> {
    const end = () => reader.end();
    const timer =
      until === undefined
        ? undefined
        : setTimeout(end, Math.min(Math.max(0, until - Date.now()), 2 ** 31 - 1));
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    try {
      yield* reader.events();
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      this.#readers.delete(reader);
    }
  }
}

class Reader {
  readonly #queue: StampedEvent[];
  readonly #wanted: (event: StampedEvent) => boolean;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(past: StampedEvent[], wanted: (event: StampedEvent) => boolean) {
    this.#queue = past;
    this.#wanted = wanted;
  }

  offer(event: StampedEvent): void {
    if (this.#ended || !this.#wanted(event)) return;
    this.#queue.push(event);
    if (this.#queue.length > MAX_BEHIND) this.#ended = true;
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *events(): AsyncGenerator<StampedEvent> {
    while (true) {
      yield* this.#queue.splice(0);
      if (this.#queue.length > 0) continue;
      if (this.#ended) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }
}
