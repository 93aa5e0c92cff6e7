import { Kysely, sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { PostgresDialect } from '#database/postgres-dialect.ts';
import { prepare } from '#database/prepared.ts';
import { inTransaction } from '#database/transaction.ts';
import { postgresOptions, useRegistryPostgres } from '../../database/registry-databases.ts';

interface Schema {
  words: { id: number; word: string };
}

describe('PostgreSQL', () => {
  const postgres = useRegistryPostgres();

  async function open(more: Partial<ReturnType<typeof postgresOptions>> = {}) {
    const options = { ...postgresOptions(await postgres.server().createDatabase()), ...more };
    const db = new Kysely<Schema>({ dialect: new PostgresDialect(options) });
    await sql`create table words (id bigint primary key, word text not null)`.execute(db);
    await db
      .insertInto('words')
      .values([1, 2].map((id) => ({ id, word: `word ${id}` })))
      .execute();
    return {
      db,
      database: new URL(options.url).pathname.slice(1),
      [Symbol.asyncDispose]: () => db.destroy(),
    };
  }

  it('gives counts, sums and large integers as numbers, and bytes as they were', async () => {
    await using opened = await open();
    const bytes = Buffer.from([0, 1, 254, 255]);
    const { rows } = await sql<{ large: number; sum: number; count: number; bytes: Uint8Array }>`
      select ${2 ** 40}::bigint as large, sum(id) as sum, count(*) as count, ${bytes}::bytea as bytes
      from words`.execute(opened.db);
    expect({ ...rows[0], bytes: [...rows[0]!.bytes] }).toEqual({
      large: 2 ** 40,
      sum: 3,
      count: 2,
      bytes: [...bytes],
    });
    const tooLarge = sql`select 9007199254740993 as number`.execute(opened.db);
    await expect(tooLarge).rejects.toThrow('too large');
  });

  it('prepares a query once on a connection, and runs it with the parameters of each call', async () => {
    await using opened = await open({ maxConnections: 1 });
    const { db } = opened;
    const find = prepare<{ id: number }, { word: string }>(db, (parameter) =>
      db.selectFrom('words').select('word').where('id', '=', parameter('id')),
    );
    expect([await find({ id: 1 }), await find({ id: 2 }), await find({ id: 3 })]).toEqual([
      [{ word: 'word 1' }],
      [{ word: 'word 2' }],
      [],
    ]);
    const inside = await db.transaction().execute(async (trx) => {
      await trx.insertInto('words').values({ id: 3, word: 'new' }).execute();
      return await find({ id: 3 }, trx);
    });
    expect(inside).toEqual([{ word: 'new' }]);
    const prepared = await sql<{ n: number }>`select count(*) as n from pg_prepared_statements`.execute(db);
    expect(prepared.rows[0]!.n).toBe(1);
  });

  it('runs a transaction again that was in a deadlock', async () => {
    await using opened = await open();
    const { db } = opened;
    const bothHoldOne = Promise.withResolvers<void>();
    let holding = 0;
    let runs = 0;
    const update = (first: number, second: number) =>
      inTransaction(db, async (trx) => {
        runs++;
        const touch = (id: number) =>
          trx
            .updateTable('words')
            .set({ word: `by ${first}` })
            .where('id', '=', id);
        await touch(first).execute();
        if (++holding === 2) bothHoldOne.resolve();
        await bothHoldOne.promise;
        await touch(second).execute();
      });
    await Promise.all([update(1, 2), update(2, 1)]);
    // The one that begins again may be in the other's way again, before that has woken up.
    expect(runs).toBeGreaterThanOrEqual(3);
    const words = await db.selectFrom('words').select('word').distinct().execute();
    expect(words).toHaveLength(1);
  });

  it('runs a transaction again whose connection broke before its commit', async () => {
    await using opened = await open();
    const { db, database } = opened;
    let runs = 0;
    await inTransaction(db, async (trx) => {
      await trx.insertInto('words').values({ id: 10, word: 'once' }).execute();
      if (++runs > 1) return;
      await postgres
        .server()
        .query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}' and state like 'idle in%'`,
        );
      await trx.selectFrom('words').select('id').execute();
    });
    expect(runs).toBe(2);
    expect(await db.selectFrom('words').select('id').where('id', '=', 10).execute()).toHaveLength(1);
  });

  it('tells what the task threw, not that the transaction could not be rolled back', async () => {
    await using opened = await open();
    const failed = opened.db.transaction().execute(async (trx) => {
      await sql`select pg_terminate_backend(pg_backend_pid())`.execute(trx).catch(() => {});
      throw new Error('the task failed');
    });
    await expect(failed).rejects.toThrow('the task failed');
    expect(await opened.db.selectFrom('words').select('id').execute()).toHaveLength(2);
  });

  it('ends a statement that takes too long, as unavailable', async () => {
    await using opened = await open({ statementTimeout: 200 });
    await expect(sql`select pg_sleep(20)`.execute(opened.db)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await opened.db.selectFrom('words').select('id').execute()).toHaveLength(2);
  });

  it('is unavailable to who waits in vain for a connection', async () => {
    await using opened = await open({ maxConnections: 1, connectTimeout: 300 });
    const done = Promise.withResolvers<void>();
    const busy = opened.db.transaction().execute(() => done.promise);
    const waiting = opened.db.selectFrom('words').select('id').execute();
    await expect(waiting).rejects.toMatchObject({ kind: 'unavailable' });
    done.resolve();
    await busy;
    expect(await opened.db.selectFrom('words').select('id').execute()).toHaveLength(2);
  });

  it('leaves the errors of statements as they are', async () => {
    await using opened = await open();
    const twice = opened.db.insertInto('words').values({ id: 1, word: 'twice' }).execute();
    await expect(twice).rejects.toMatchObject({ code: '23505' });
  });

  it('says what is wrong with how it is to be reached, without the password', async () => {
    const attempt = async (url: string) => {
      const db = new Kysely<Schema>({ dialect: new PostgresDialect(postgresOptions(url)) });
      const error = await db
        .selectFrom('words')
        .select('id')
        .execute()
        .catch((thrown: unknown) => thrown);
      await db.destroy();
      return error as Error & { kind: string };
    };
    const { port } = new URL(postgres.server().url('x'));
    const urls = {
      'connect ECONNREFUSED': 'postgres://slipway:secret@127.0.0.1:1/x',
      'database "absent" does not exist': `postgres://postgres:secret@127.0.0.1:${port}/absent`,
      'role "nobody" does not exist': `postgres://nobody:secret@127.0.0.1:${port}/postgres`,
      'does not support SSL': `postgres://postgres:secret@127.0.0.1:${port}/postgres?sslmode=require`,
    };
    for (const [message, url] of Object.entries(urls)) {
      const error = await attempt(url);
      expect(error.kind).toBe('unavailable');
      expect(error.message).toContain(message);
      expect(error.message).not.toContain('secret');
    }
  });

  it('is unavailable while it is away, and there again when it is back', async () => {
    await using opened = await open();
    const { db } = opened;
    const read = () => db.selectFrom('words').select('id').execute();
    expect(await read()).toHaveLength(2);
    await postgres.server().stop('SIGQUIT');
    await expect(read()).rejects.toMatchObject({ kind: 'unavailable' });
    const write = inTransaction(db, (trx) => trx.insertInto('words').values({ id: 3, word: 'x' }).execute());
    await expect(write).rejects.toMatchObject({ kind: 'unavailable' });
    await postgres.server().resume();
    expect(await read()).toHaveLength(2);
    await inTransaction(db, (trx) => trx.insertInto('words').values({ id: 3, word: 'x' }).execute());
    expect(await read()).toHaveLength(3);
  });

  it('does not notice that all its idle connections were closed', async () => {
    await using opened = await open();
    const { db, database } = opened;
    const read = () => db.selectFrom('words').select('id').execute();
    await Promise.all([1, 2, 3, 4].map(read));
    await postgres
      .server()
      .query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}'`);
    await Promise.all([1, 2, 3, 4].map(read));
    await inTransaction(db, (trx) => trx.insertInto('words').values({ id: 3, word: 'x' }).execute());
    expect(await read()).toHaveLength(3);
  });
});
