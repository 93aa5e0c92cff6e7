import type { Semaphore } from '#async/semaphore.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/** What became of writes that were committed together. */
interface Group {
  /** Resolves when they are in the log: they survive the process. */
  readonly committed: PromiseWithResolvers<void>;
  /** Resolves when they are on the disk, or as far as they shall go. */
  readonly durable: PromiseWithResolvers<void>;
  /** How many have ended well. */
  members: number;
}

/** One write's part in a group. */
export interface Membership {
  /** Keeps the write, and says when it is safe. */
  keep(): Pick<Group['committed'], 'promise'> & { readonly durable: Promise<void> };
  /** Takes the write back, and nothing else. */
  undo(): void;
}

/**
 * Has writes that come while the disk syncs share one transaction of SQLite's, and one sync: a commit costs more
 * than most of what it commits. Each is a savepoint of its own in it, so that one that fails takes no other along;
 * nobody is told that a write succeeded before the transaction that it shares was committed. A write alone is
 * committed at once.
 */
export class CommitGroups {
  readonly #database: SqliteDatabase;
  readonly #turn: Semaphore;
  readonly #sync: () => Promise<void>;
  #open: Group | undefined;
  #flushing: Promise<void> | undefined;

  /** Whoever holds `turn` has the database to himself. `sync` brings what was committed to the disk. */
  constructor(database: SqliteDatabase, turn: Semaphore, sync: () => Promise<void>) {
    this.#database = database;
    this.#turn = turn;
    this.#sync = sync;
  }

  /** Begins a write; the caller has the turn until it is kept or undone. */
  enter(): Membership {
    const first = this.#open === undefined;
    this.#database.control(first ? 'begin immediate' : 'savepoint member');
    this.#open ??= newGroup();
    const group = this.#open;
    return { keep: () => this.#keep(group, first), undo: () => this.#undo(group, first) };
  }

  /** Resolves when nothing is left to commit or to sync. */
  async idle(): Promise<void> {
    await this.#flushing;
  }

  #keep(group: Group, first: boolean) {
    if (!first) this.#database.control('release member');
    group.members++;
    this.#flushing ??= this.#flush();
    return { promise: group.committed.promise, durable: group.durable.promise };
  }

  #undo(group: Group, first: boolean): void {
    if (this.#database.inTransaction) {
      if (first) this.#database.control('rollback');
      else this.#database.exec('rollback to member; release member');
    } else if (!first) {
      // SQLite took back everything, as it does when the disk is full: also what others had written.
      fail(group, new Error('the transaction was rolled back'));
    }
    if (first || !this.#database.inTransaction) this.#open = undefined;
  }

  /** Commits one group after another; the next one gathers while this one is synced. */
  async #flush(): Promise<void> {
    while (this.#open) {
      const group = await this.#turn.run(async () => this.#commit());
      if (!group) continue;
      try {
        await this.#sync();
        group.durable.resolve();
      } catch (error) {
        group.durable.reject(error);
      }
    }
    this.#flushing = undefined;
  }

  #commit(): Group | undefined {
    const group = this.#open;
    this.#open = undefined;
    if (!group) return undefined;
    try {
      this.#database.control('commit');
      group.committed.resolve();
      return group;
    } catch (error) {
      if (this.#database.inTransaction) this.#database.control('rollback');
      fail(group, error);
      return undefined;
    }
  }
}

function newGroup(): Group {
  const group = {
    committed: Promise.withResolvers<void>(),
    durable: Promise.withResolvers<void>(),
    members: 0,
  };
  // Most wait for one of the two only.
  group.committed.promise.catch(() => {});
  group.durable.promise.catch(() => {});
  return group;
}

function fail(group: Group, error: unknown): void {
  group.committed.reject(error);
  group.durable.reject(error);
}
