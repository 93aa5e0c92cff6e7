import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { create, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { frameOf } from '#worker/buildkit/grpc/frames.ts';
import { StatusResponseSchema } from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import type { LivingWorker } from './workers.ts';

/** A build that was asked for over a connection, until it has a worker. */
export class QueuedBuild {
  readonly #events = new EventEmitter<{ change: [] }>().setMaxListeners(0);
  #position = 0;
  #worker: LivingWorker | undefined;
  #error: unknown;

  /** 0 while it is not known to wait. */
  get position(): number {
    return this.#position;
  }

  get worker(): LivingWorker | undefined {
    return this.#worker;
  }

  at(position: number): void {
    this.#position = position;
    this.#events.emit('change');
  }

  start(worker: LivingWorker): void {
    this.#worker = worker;
    this.#events.emit('change');
  }

  fail(error: unknown): void {
    this.#error = error;
    this.#events.emit('change');
  }

  /** Resolves with what is new; at once when that is the case. Throws what the build failed with. */
  async changed(from: number, signal: AbortSignal): Promise<void> {
    while (this.#error === undefined && !this.#worker && this.#position === from) {
      await once(this.#events, 'change', { signal });
    }
    if (this.#error !== undefined) throw this.#error;
  }

  /** Throws what it failed with. */
  async started(signal: AbortSignal): Promise<LivingWorker> {
    while (!this.#worker) await this.changed(this.#position, signal);
    return this.#worker;
  }

  /**
   * What a `Status` call hears of it, in messages, until it has a worker: a vertex "waiting for a worker (position 3)"
   * that is renamed as the build comes nearer. None for a build that need not wait.
   */
  async *progress(signal: AbortSignal): AsyncGenerator<Buffer> {
    const digest = `sha256:${createHash('sha256').update('waiting for a worker').digest('hex')}`;
    const started = timestampFromDate(new Date());
    let position = 0;
    const message = (completed: boolean): Buffer => {
      const now = timestampFromDate(new Date());
      const name = `waiting for a worker (position ${position})`;
      const vertex = { digest, name, started, ...(completed && { completed: now }) };
      const log = { vertex: digest, stream: 1n, msg: Buffer.from(`position ${position}\n`), timestamp: now };
      const response = create(StatusResponseSchema, { vertexes: [vertex], logs: completed ? [] : [log] });
      return frameOf(toBinary(StatusResponseSchema, response));
    };
    for (;;) {
      await this.changed(position, signal);
      if (this.#worker) break;
      position = this.#position;
      yield message(false);
    }
    if (position > 0) yield message(true);
  }
}
