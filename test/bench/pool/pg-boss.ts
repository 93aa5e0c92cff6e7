import type { Peers } from './peers.ts';
import type { BenchQueue } from './queue.ts';

interface Boss {
  start(): Promise<unknown>;
  stop(options: object): Promise<void>;
  createQueue(name: string): Promise<void>;
  insert(name: string, jobs: readonly object[]): Promise<unknown>;
  fetch(name: string, options: { batchSize: number }): Promise<{ id: string }[]>;
  complete(name: string, id: string): Promise<unknown>;
}

const QUEUE = 'jobs';

export class PgBossQueue implements BenchQueue {
  readonly name = 'pg-boss 12.38';
  readonly #boss: Boss;

  private constructor(boss: Boss) {
    this.#boss = boss;
  }

  static async open(url: string, claimers: number, peers: Peers): Promise<PgBossQueue> {
    const { PgBoss } = (await peers('pg-boss')) as unknown as { PgBoss: new (options: object) => Boss };
    const boss = new PgBoss({ connectionString: url, max: claimers + 1 });
    await boss.start();
    await boss.createQueue(QUEUE);
    return new PgBossQueue(boss);
  }

  async enqueue(count: number): Promise<void> {
    const data = { image: 'busybox', command: ['true'] };
    for (let i = 0; i < count / 100; i++) {
      await this.#boss.insert(
        QUEUE,
        Array.from({ length: 100 }, () => ({ data })),
      );
    }
  }

  async claim(_claimer: number, limit: number): Promise<string[]> {
    return (await this.#boss.fetch(QUEUE, { batchSize: limit })).map(({ id }) => id);
  }

  async end(id: string): Promise<void> {
    await this.#boss.complete(QUEUE, id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#boss.stop({ graceful: false });
  }
}
