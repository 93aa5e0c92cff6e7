import { type FileHandle, open, rm } from 'node:fs/promises';
import { LogClip } from '../solve/log-clip.ts';
import type { LogEvent, ProgressSink, StatusEvent, VertexEvent, WarningEvent } from '../solve/progress.ts';
import { type BuildEvent, encodeEvent, tell } from './build-events.ts';
import { LogParser, type ReadOptions, type ToldEvent } from './log-parser.ts';

/** What is kept in memory before it is written down; who tells more has to wait. */
const FLUSH_BYTES = 64 * 1024;
const MAX_UNWRITTEN = 1024 * 1024;
const READ_BYTES = 256 * 1024;

/**
 * All that a build has told, for whoever watches it, from when on he may: in memory while it is little, in a file when
 * it is more. Of what commands write it keeps as much as BuildKit does.
 */
export class BuildLog implements ProgressSink {
  readonly #path: string;
  readonly #clips = new Map<string, Record<LogEvent['stream'], LogClip>>();
  #file: FileHandle | undefined;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #written = 0;
  #ended = false;
  /** The disk does not take it; what commands write is not kept then. */
  #broken = false;
  #writing: Promise<void> | undefined;
  #changed = Promise.withResolvers<void>();

  /** Nothing will be at `path` unless the build tells much or `keep` is called. */
  constructor(path: string) {
    this.#path = path;
  }

  vertex(event: VertexEvent): void {
    if (event.completed && !event.cached) this.#endOf(event);
    this.#append({ kind: 'vertex', event });
  }

  status(event: StatusEvent): void {
    this.#append({ kind: 'status', event });
  }

  async log(event: LogEvent): Promise<void> {
    const clips = this.#clips.get(event.vertex) ?? { stdout: new LogClip(), stderr: new LogClip() };
    this.#clips.set(event.vertex, clips);
    const data = clips[event.stream].pass(event.data);
    if (data) this.#append({ kind: 'log', event: { ...event, data } });
    if (this.#pendingBytes > MAX_UNWRITTEN) await this.#writing;
  }

  warning(event: WarningEvent): void {
    this.#append({ kind: 'warning', event });
  }

  /** The build is over: those who watch it come to an end. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Tells all from the beginning, and what follows until the end. */
  async replay(sink: ProgressSink, { signal }: { signal: AbortSignal }): Promise<void> {
    for await (const { told } of this.read({ signal })) await tell(sink, told);
  }

  /**
   * What was told, from a place where an event begins (`next` of the one before), and with `follow` what comes until the
   * end. Throws `invalid` for any other place.
   */
  async *read({ from = 0, follow = true, signal }: ReadOptions): AsyncGenerator<ToldEvent> {
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => undefined);
    const parser = new LogParser(from);
    for (let at = parser.start; ; ) {
      signal.throwIfAborted();
      const changed = this.#changed.promise;
      if (at > this.#written + this.#pendingBytes) throw parser.misplaced();
      const bytes = await this.#read(at);
      if (bytes.length === 0) {
        if (this.#ended || !follow) return;
        await Promise.race([changed, aborted]);
        continue;
      }
      at += bytes.length;
      yield* parser.push(bytes);
    }
  }

  /** Writes all of it down, and answers how many bytes that are. */
  async keep(): Promise<number> {
    while (this.#pendingBytes > 0 && !this.#broken) {
      this.#writing ??= this.#write();
      await this.#writing;
    }
    return this.#written;
  }

  /** Call at the end; without `keep` nothing is left. */
  async close(options: { keep: boolean }): Promise<void> {
    await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
    if (!options.keep) await rm(this.#path, { force: true });
  }

  /** What a failed step said last, when that was too much to show. */
  #endOf({ digest, error }: VertexEvent): void {
    const clips = this.#clips.get(digest);
    this.#clips.delete(digest);
    if (!clips || error === undefined) return;
    for (const stream of ['stdout', 'stderr'] as const) {
      const data = clips[stream].tail;
      if (data) this.#append({ kind: 'log', event: { vertex: digest, stream, data, timestamp: new Date() } });
    }
  }

  #append(event: BuildEvent): void {
    if (this.#ended || (this.#broken && event.kind === 'log')) return;
    const line = encodeEvent(event);
    this.#pending.push(line);
    this.#pendingBytes += line.length;
    this.#wake();
    if (this.#pendingBytes > FLUSH_BYTES && !this.#broken) this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    try {
      while (this.#pendingBytes > 0) {
        this.#file ??= await open(this.#path, 'w+', 0o600);
        const bytes = Buffer.concat(this.#pending);
        const count = this.#pending.length;
        await this.#file.write(bytes, 0, bytes.length, this.#written);
        this.#pending.splice(0, count);
        this.#pendingBytes -= bytes.length;
        this.#written += bytes.length;
        if (this.#pendingBytes < FLUSH_BYTES && !this.#ended) break;
      }
    } catch {
      this.#broken = true;
    } finally {
      this.#writing = undefined;
    }
  }

  async #read(at: number): Promise<Buffer> {
    if (at >= this.#written) return this.#lastBytes(this.#written + this.#pendingBytes - at);
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, this.#written - at));
    const { bytesRead } = await this.#file!.read(buffer, 0, buffer.length, at);
    return buffer.subarray(0, bytesRead);
  }

  /** What is at the end of what is not written yet. */
  #lastBytes(count: number): Buffer {
    let from = this.#pending.length;
    let missing = count;
    while (missing > 0) missing -= this.#pending[--from]!.length;
    return Buffer.concat(this.#pending.slice(from)).subarray(-missing);
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
