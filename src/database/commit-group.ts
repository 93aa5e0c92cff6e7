import type { Semaphore } from '#async/semaphore.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/** What became of writes that were committed together. */
interface Group {
  /** Resolves when they are on the disk, or as far as they shall go. */
  readonly durable: PromiseWithResolvers<void>;
  /** Whether anybody waits for that. */
  awaited: boolean;
}

/** One write's part in a group. */
export interface Membership {
  /** Keeps the write. Resolves when it is on the disk. */
  keep(): Promise<void>;
  /** Keeps the write and commits it: it survives the process, and what is synced next takes it to the disk. */
  keepRelaxed(): void;
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
  /** Committed, and to be synced. */
  #committed: Group[] = [];
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
    this.#open ??= { durable: Promise.withResolvers<void>(), awaited: false };
    const group = this.#open;
    return {
      keep: () => this.#keep(group, first),
      keepRelaxed: () => this.#keepRelaxed(first),
      undo: () => this.#undo(group, first),
    };
  }

  /** Resolves when nothing is left to commit or to sync. */
  async idle(): Promise<void> {
    await this.#flushing;
  }

  #keep(group: Group, first: boolean): Promise<void> {
    if (!first) this.#database.control('release member');
    group.awaited = true;
    this.#flushing ??= this.#flush();
    return group.durable.promise;
  }

  /** Whoever asked has the turn, so that nobody is in the middle of anything. Throws what the commit throws. */
  #keepRelaxed(first: boolean): void {
    if (!first) this.#database.control('release member');
    const failure = this.#commit();
    if (failure) throw failure.error;
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
    while (this.#open || this.#committed.length > 0) {
      await this.#turn.run(async () => this.#commit());
      const groups = this.#committed;
      this.#committed = [];
      if (groups.length === 0) continue;
      try {
        await this.#sync();
        for (const { durable } of groups) durable.resolve();
      } catch (error) {
        for (const group of groups) fail(group, error);
      }
    }
    this.#flushing = undefined;
  }

  /** Commits what is open. A failure is told to those who wait for it, and returned. */
  #commit(): { readonly error: unknown } | undefined {
    const group = this.#open;
    this.#open = undefined;
    if (!group) return undefined;
    try {
      this.#database.control('commit');
      if (group.awaited) this.#committed.push(group);
      return undefined;
    } catch (error) {
      if (this.#database.inTransaction) this.#database.control('rollback');
      fail(group, error);
      return { error };
    }
  }
}

function fail(group: Group, error: unknown): void {
  // Those of a group who wait hear of it, if there are any.
  group.durable.promise.catch(() => {});
  group.durable.reject(error);
}
