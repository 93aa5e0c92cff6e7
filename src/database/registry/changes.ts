import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../dialect.ts';
import { PostgresListener } from '../postgres-listener.ts';
import type { RegistryDatabase, RegistryDatabaseOptions } from './open.ts';

const CHANNEL = 'slipway_changes';
/** In milliseconds. SQLite has nobody to say that something changed; on PostgreSQL this is for when that is not heard. */
const LOOK_EVERY = { sqlite: 250, postgres: 5_000 };

/**
 * Tells every process on a database that something changed of which they keep copies. A topic is a name such as
 * `auth.policies`; what changed is for the listener to read.
 */
export interface Changes extends AsyncDisposable {
  /**
   * Has `listener` called after each change of a topic (once for several, and now and then for none), in whichever
   * process it was made: within milliseconds on PostgreSQL, a quarter of a second on SQLite. Disposing ends that.
   */
  subscribe(topic: string, listener: () => void): Disposable;

  /** Looks at once: when it resolves, the listeners heard of everything that was committed before the call. */
  look(): Promise<void>;
}

/** Says that a topic changed; others hear of it when the transaction commits. */
export async function announceChange(trx: RegistryDatabase, topic: string): Promise<void> {
  await trx
    .insertInto('changes')
    .values({ topic, version: 1 })
    .onConflict((conflict) =>
      conflict.column('topic').doUpdateSet({ version: sql<number>`changes.version + 1` }),
    )
    .execute();
  if (isPostgres(trx)) await notify(trx);
}

async function notify<Schema>(trx: Kysely<Schema>): Promise<void> {
  await sql`select pg_notify(${CHANNEL}, '')`.execute(trx);
}

export async function watchChanges(
  db: RegistryDatabase,
  options: RegistryDatabaseOptions,
  { lookEvery = LOOK_EVERY[options.driver] }: { lookEvery?: number } = {},
): Promise<Changes> {
  const watch = new ChangesWatch(db);
  await watch.start(lookEvery);
  if (options.driver === 'postgres') {
    watch.use(new PostgresListener(options, CHANNEL, () => void watch.look().catch(() => {})));
  }
  return watch;
}

/** Compares the versions in the database with those seen last: what was said meanwhile is never missed. */
class ChangesWatch implements Changes {
  readonly #db: RegistryDatabase;
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #stack = new AsyncDisposableStack();
  #seen = new Map<string, number>();
  #looking: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async start(interval: number): Promise<void> {
    this.#seen = await this.#versions();
    const timer = setInterval(() => {
      // A database that is away is asked again.
      if (!this.#looking) void this.look().catch(() => {});
    }, interval);
    timer.unref();
    this.#stack.defer(async () => {
      clearInterval(timer);
      await this.#next?.catch(() => {});
      await this.#looking?.catch(() => {});
    });
  }

  use(resource: AsyncDisposable): void {
    this.#stack.use(resource);
  }

  subscribe(topic: string, listener: () => void): Disposable {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    return { [Symbol.dispose]: () => void listeners.delete(listener) };
  }

  look(): Promise<void> {
    // One that runs may have read before the call; all that come meanwhile share the one after it.
    this.#next ??= (this.#looking ?? Promise.resolve())
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        this.#looking = this.#compare().finally(() => {
          this.#looking = undefined;
        });
        return this.#looking;
      });
    return this.#next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #compare(): Promise<void> {
    const versions = await this.#versions();
    const before = this.#seen;
    this.#seen = versions;
    for (const [topic, version] of versions) {
      if (version === before.get(topic)) continue;
      for (const listener of this.#listeners.get(topic) ?? []) listener();
    }
  }

  async #versions(): Promise<Map<string, number>> {
    const rows = await this.#db.selectFrom('changes').select(['topic', 'version']).execute();
    return new Map(rows.map(({ topic, version }) => [topic, version]));
  }
}
