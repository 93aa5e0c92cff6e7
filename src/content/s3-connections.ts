import { S3Connection, type S3Target } from './s3-connection.ts';

/** Connections to one server that are used again, at most `limit` at once. */
export class S3Connections implements Disposable {
  readonly #target: S3Target;
  readonly #limit: number;
  readonly #idle: S3Connection[] = [];
  readonly #open = new Set<S3Connection>();
  readonly #waiting: (() => void)[] = [];
  #connecting = 0;
  #disposed = false;

  constructor(target: S3Target, limit: number) {
    this.#target = target;
    this.#limit = limit;
  }

  /** One that nobody uses, which was used last; waits for its turn. It comes back by itself, with the end of its answer. */
  async take(): Promise<S3Connection> {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle?.usable) return idle;
      if (idle) continue;
      if (this.#open.size + this.#connecting < this.#limit) return await this.#connect();
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const connection of this.#open) connection.destroy();
  }

  async #connect(): Promise<S3Connection> {
    this.#connecting++;
    try {
      const connection = await S3Connection.open(this.#target, {
        idle: (one) => this.#keep(one),
        closed: (one) => this.#forget(one),
      });
      this.#open.add(connection);
      if (this.#disposed) connection.destroy();
      return connection;
    } finally {
      this.#connecting--;
      this.#next();
    }
  }

  #keep(connection: S3Connection): void {
    this.#idle.push(connection);
    this.#next();
  }

  #forget(connection: S3Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#next();
  }

  /** Whoever waits looks again. */
  #next(): void {
    this.#waiting.shift()?.();
  }
}
