import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Generated, Kysely, sql } from 'kysely';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { prepare } from '#database/prepared.ts';
import { SqliteDialect } from '#database/sqlite-dialect.ts';

interface Schema {
  words: { id: Generated<number>; word: string };
}

let folder: string;
let db: Kysely<Schema>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-database-'));
  db = open();
  await sql`create table words (id integer primary key, word text not null unique)`.execute(db);
});

afterEach(async () => {
  await db.destroy();
  rmSync(folder, { recursive: true, force: true });
});

const open = () =>
  new Kysely<Schema>({ dialect: new SqliteDialect({ file: join(folder, 'x.db'), synchronous: 'full' }) });
const insert = (on: Kysely<Schema>, word: string) => on.insertInto('words').values({ word }).execute();
const words = async (on: Kysely<Schema>) =>
  (await on.selectFrom('words').select('word').orderBy('id').execute()).map((row) => row.word);

it('shows a transaction to others when it is committed, whole', async () => {
  const seen: string[][] = [];
  await Promise.all([
    db.transaction().execute(async (trx) => {
      await insert(trx, 'a');
      await new Promise((resolve) => setImmediate(resolve));
      await insert(trx, 'b');
    }),
    words(db).then((found) => seen.push(found)),
  ]);
  expect([[], ['a', 'b']]).toContainEqual(seen[0]);
  expect(await words(db)).toEqual(['a', 'b']);
});

it('runs many transactions at once without one seeing half of another', async () => {
  await Promise.all(
    Array.from({ length: 50 }, (_, number) =>
      db.transaction().execute(async (trx) => {
        const before = (await words(trx)).length;
        await insert(trx, `first ${number}`);
        await new Promise((resolve) => setImmediate(resolve));
        await insert(trx, `second ${number}`);
        expect((await words(trx)).length).toBe(before + 2);
      }),
    ),
  );
  expect(await words(db)).toHaveLength(100);
});

it('rolls back what fails, and nothing else', async () => {
  const outcomes = await Promise.allSettled([
    db.transaction().execute(async (trx) => {
      await insert(trx, 'kept');
    }),
    db.transaction().execute(async (trx) => {
      await insert(trx, 'lost');
      throw new Error('no');
    }),
    insert(db, 'alone'),
    insert(db, 'alone'),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
  expect((await words(db)).toSorted()).toEqual(['alone', 'kept']);
});

it('has statements outside a transaction wait for one under way', async () => {
  const order: string[] = [];
  await Promise.all([
    db.transaction().execute(async (trx) => {
      await insert(trx, 'a');
      await new Promise((resolve) => setImmediate(resolve));
      order.push('transaction');
    }),
    insert(db, 'b').then(() => order.push('statement')),
  ]);
  expect(order).toEqual(['transaction', 'statement']);
});

it('keeps one connection together while its statements sync', async () => {
  await Promise.all(
    [
      db.connection().execute(async (one) => {
        for (let number = 0; number < 5; number++) await insert(one, `one ${number}`);
      }),
      ...Array.from({ length: 5 }, (_, number) =>
        db.transaction().execute(async (trx) => {
          await insert(trx, `two ${number}`);
          await new Promise((resolve) => setImmediate(resolve));
          if (number % 2 === 0) throw new Error('no');
        }),
      ),
    ].map((task) => task.catch(() => {})),
  );
  const found = await words(db);
  expect(found.filter((word) => word.startsWith('one'))).toHaveLength(5);
  expect(found.filter((word) => word.startsWith('two')).toSorted()).toEqual(['two 1', 'two 3']);
});

it('has what was committed after it is opened again', async () => {
  await insert(db, 'a');
  await db.destroy();
  db = open();
  expect(await words(db)).toEqual(['a']);
});

it('runs a prepared query with the parameters of each call, whatever their order', async () => {
  await insert(db, 'a');
  await insert(db, 'b');
  const find = prepare<{ word: string; id: number }, { id: number; word: string }>(db, (parameter) =>
    db
      .selectFrom('words')
      .select(['id', 'word'])
      .where('id', '>=', parameter('id'))
      .where('word', '=', parameter('word')),
  );
  expect(await find({ word: 'b', id: 1 })).toEqual([{ id: 2, word: 'b' }]);
  expect(await find({ word: 'a', id: 1 })).toEqual([{ id: 1, word: 'a' }]);
  expect(await find({ word: 'a', id: 2 })).toEqual([]);
});

it('has committed what it says it has, also when others that failed came with it', async () => {
  using reader = new DatabaseSync(join(folder, 'x.db'));
  const count = reader.prepare('select count(*) as count from words where word = ?');
  const committed = (word: string) => count.get(word)?.count === 1;
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, async (_, number) => {
      const word = `word ${number}`;
      const transaction = () =>
        db.transaction().execute(async (trx) => {
          await insert(trx, word);
          if (number % 3 === 0) throw new Error('no');
          if (number % 3 === 1) await insert(trx, 'word 2');
        });
      return await (number % 5 === 4 ? insert(db, word) : transaction()).then(
        () => committed(word),
        () => !committed(word),
      );
    }),
  );
  expect(outcomes).not.toContain(false);
});

it('answers prepared reads while a transaction is open, with what was committed before', async () => {
  const count = prepare<{ least: number }, { count: number }>(db, (parameter) =>
    db.selectFrom('words').select(sql<number>`count(*)`.as('count')).where('id', '>=', parameter('least')),
  );
  const counted = async (on?: Kysely<Schema>) => (await count({ least: 0 }, on))[0]!.count;
  await insert(db, 'a');
  expect(await counted()).toBe(1);
  await db.transaction().execute(async (trx) => {
    await insert(trx, 'b');
    expect(await counted()).toBe(1);
    expect(await counted(trx)).toBe(2);
  });
  expect(await counted()).toBe(2);
  await db.destroy();
  await expect(counted()).rejects.toThrow('closed');
  db = open();
});

it('reads again what another connection changed', async () => {
  const wordOf = prepare<{ id: number }, { word: string }>(db, (parameter) =>
    db.selectFrom('words').select('word').where('id', '=', parameter('id')),
  );
  await insert(db, 'a');
  const rows = await wordOf({ id: 1 });
  expect(rows).toEqual([{ word: 'a' }]);
  expect(await wordOf({ id: 1 })).toBe(rows);
  expect(await wordOf({ id: 2 })).toEqual([]);
  const other = new DatabaseSync(join(folder, 'x.db'));
  other.exec(`update words set word = 'changed'`);
  expect(await wordOf({ id: 1 })).toEqual([{ word: 'changed' }]);
  other.exec(`begin; delete from words`);
  expect(await wordOf({ id: 1 })).toEqual([{ word: 'changed' }]);
  other.exec('commit');
  expect(await wordOf({ id: 1 })).toEqual([]);
  other.close();
});
