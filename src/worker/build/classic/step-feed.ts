import { LogClip } from '../solve/log-clip.ts';
import type { LogEvent, ProgressSink, VertexEvent } from '../solve/progress.ts';

/** What steps write before their turn to be shown comes; what goes beyond it is left out, and that is said. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
const NOTICE = Buffer.from('\n[output clipped, too much is waiting to be shown]\n');

interface Feed {
  started: boolean;
  completed: boolean;
  cached: boolean;
  clipped: boolean;
  readonly clips: Record<LogEvent['stream'], LogClip>;
  readonly waiting: Chunk[];
}

export interface Chunk {
  readonly stream: LogEvent['stream'];
  readonly data: Uint8Array;
}

/**
 * What goes on in all steps of a build at once, for one that shows them one after the other. Nobody waits for him who
 * reads it: of a stream as much is kept as of any build's log.
 */
export class StepFeed implements ProgressSink {
  readonly #feeds = new Map<string, Feed>();
  #waitingBytes = 0;
  #changed = Promise.withResolvers<void>();

  vertex({ digest, started, completed, cached }: VertexEvent): void {
    const feed = this.#of(digest);
    feed.started = started !== undefined;
    feed.completed = completed !== undefined;
    feed.cached = cached;
    this.#wake();
  }

  async log({ vertex, stream, data }: LogEvent): Promise<void> {
    const feed = this.#of(vertex);
    const shown = feed.clips[stream].pass(data);
    // Once something is left out, all that follows is: nobody could tell where the gaps are.
    if (!shown || feed.clipped) return;
    feed.clipped = this.#waitingBytes + shown.length > MAX_WAITING_BYTES;
    const waiting = feed.clipped ? NOTICE : shown;
    this.#waitingBytes += waiting.length;
    feed.waiting.push({ stream, data: waiting });
    this.#wake();
  }

  status(): void {}

  warning(): void {}

  /** Whether it has begun, and not been found in the cache. */
  runs(digest: string): boolean {
    const { started, cached } = this.#of(digest);
    return started && !cached;
  }

  /** It was found, or nobody had to look. */
  wasCached(digest: string): boolean {
    return this.#of(digest).cached;
  }

  /** Resolves when a step has begun or is over. */
  async begun(digest: string): Promise<void> {
    while (!this.#of(digest).started) await this.#changed.promise;
  }

  /** What a step writes, until it is over. */
  async *output(digest: string): AsyncGenerator<Chunk> {
    const feed = this.#of(digest);
    for (;;) {
      const chunk = feed.waiting.shift();
      if (chunk) {
        this.#waitingBytes -= chunk.data.length;
        yield chunk;
      } else if (feed.completed) {
        return;
      } else {
        await this.#changed.promise;
      }
    }
  }

  #of(digest: string): Feed {
    let feed = this.#feeds.get(digest);
    if (!feed) {
      const clips = { stdout: new LogClip(), stderr: new LogClip() };
      feed = { started: false, completed: false, cached: false, clipped: false, clips, waiting: [] };
      this.#feeds.set(digest, feed);
    }
    return feed;
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
