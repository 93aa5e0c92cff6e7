import { afterEach, beforeEach, expect, it } from 'vitest';
import { Semaphore } from '#async/semaphore.ts';
import { CommitGroups } from '#database/commit-group.ts';
import { SqliteDatabase } from '#database/sqlite-database.ts';

let database: SqliteDatabase;
let turn: Semaphore;
let synced: number;
let groups: CommitGroups;
let log: string[];

beforeEach(() => {
  database = new SqliteDatabase(':memory:');
  database.exec('create table words (word text unique)');
  turn = new Semaphore(1);
  synced = 0;
  groups = new CommitGroups(database, turn, async () => {
    synced++;
    await new Promise((resolve) => setImmediate(resolve));
  });
  log = [];
  const control = database.control.bind(database);
  database.control = (sql) => {
    log.push(sql);
    control(sql);
  };
});

afterEach(() => database.close());

/** A write in its turn; `false` when it was taken back. */
async function write(word: string, options: { undo?: boolean } = {}): Promise<void> {
  const { durable } = await turn.run(async () => {
    const membership = groups.enter();
    database.exec(`insert into words values ('${word}')`);
    if (!options.undo) return { durable: membership.keep() };
    membership.undo();
    throw new Error('undone');
  });
  await durable;
}

const words = () =>
  database
    .run<{ word: string }>({ sql: 'select word from words', parameters: [] } as never)
    .rows.map((row) => row.word);

it('commits a write that is alone by itself', async () => {
  await write('a');
  expect(log).toEqual(['begin immediate', 'commit']);
  expect(synced).toBe(1);
});

it('commits together what came while it synced', async () => {
  const first = write('a');
  await new Promise((resolve) => queueMicrotask(() => queueMicrotask(() => resolve(undefined))));
  await Promise.all([first, ...['b', 'c', 'd', 'e'].map((word) => write(word))]);
  expect(log.filter((sql) => sql === 'commit').length).toBeLessThanOrEqual(2);
  expect(words()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

it('commits a relaxed write at once, with those who gather, and syncs for them alone', async () => {
  await turn.run(async () => {
    const membership = groups.enter();
    database.exec(`insert into words values ('relaxed')`);
    membership.keepRelaxed();
  });
  expect([log, synced]).toEqual([['begin immediate', 'commit'], 0]);
  const first = write('first');
  await new Promise((resolve) => setImmediate(resolve));
  const gathered = write('gathered');
  await turn.run(async () => {
    const membership = groups.enter();
    database.exec(`insert into words values ('with them')`);
    membership.keepRelaxed();
    expect(database.inTransaction).toBe(false);
  });
  await Promise.all([first, gathered]);
  await groups.idle();
  expect(synced).toBe(2);
  expect(words()).toEqual(['relaxed', 'first', 'gathered', 'with them']);
});

it('tells a relaxed write, and those it was committed with, that the commit failed', async () => {
  const control = database.control;
  database.control = (sql) => {
    if (sql === 'commit') throw new Error('disk full');
    control(sql);
  };
  const gathered = turn.run(async () => {
    const membership = groups.enter();
    database.exec(`insert into words values ('gathered')`);
    return { durable: membership.keep() };
  });
  const relaxed = turn.run(async () => groups.enter().keepRelaxed());
  await expect(relaxed).rejects.toThrow('disk full');
  await expect((await gathered).durable).rejects.toThrow('disk full');
  database.control = control;
  expect(words()).toEqual([]);
});

it('takes back one of them alone', async () => {
  const outcomes = await Promise.allSettled([write('a'), write('b'), write('c', { undo: true }), write('d')]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(words()).toEqual(['a', 'b', 'd']);
});

it('tells all of them when their commit fails, and goes on', async () => {
  const control = database.control;
  let broken = true;
  database.control = (sql) => {
    if (sql === 'commit' && broken) throw new Error('disk full');
    control(sql);
  };
  const outcomes = await Promise.allSettled([write('a'), write('b')]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(words()).toEqual([]);
  broken = false;
  await write('c');
  expect(words()).toEqual(['c']);
});

it('tells those before when SQLite took back everything', async () => {
  const before = turn.run(async () => {
    const membership = groups.enter();
    database.exec(`insert into words values ('before')`);
    return { durable: membership.keep() };
  });
  const failing = turn.run(async () => {
    const membership = groups.enter();
    database.exec('rollback');
    membership.undo();
  });
  const { durable } = await before;
  await failing;
  await expect(durable).rejects.toThrow('rolled back');
  await write('after');
  expect(words()).toEqual(['after']);
});
