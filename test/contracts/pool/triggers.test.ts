import { createHmac } from 'node:crypto';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import type { PoolDatabase } from '#database/pool/open.ts';
import { unauthorized } from '#errors/errors.ts';
import { readSubmission } from '#pool/http/job-shapes.ts';
import { Jobs } from '#pool/jobs/jobs.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { TenantAccessRepository } from '#pool/tenants/tenant-access-repository.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { TenantRules } from '#pool/tenants/tenant-rules.ts';
import { TenantTriggers } from '#pool/triggers/tenant-triggers.ts';
import { type ImageDigests, Triggers, type WantedTrigger } from '#pool/triggers/triggers.ts';
import { TriggersRepository } from '#pool/triggers/triggers-repository.ts';
import { onEachPoolDatabase, type TestPool } from '../../database/pool-databases.ts';

const DAY = 86_400_000;
const job = { kind: 'run', run: { image: 'busybox', env: { AT: '{{time}}' } } };
const nightly: WantedTrigger = {
  source: { kind: 'schedule', cron: '0 4 * * *', timeZone: 'UTC', missed: 'once' },
  submission: job,
  enabled: true,
};

/** A gateway's triggers, as far as they need one. */
function gateway(
  db: PoolDatabase,
  digestOf: ImageDigests['digestOf'] = async () => 'sha256:0',
  options: { deadline?: number } = {},
) {
  const rows = new JobsRepository(db);
  const absent = undefined as never;
  const jobs = new Jobs({
    rows,
    changes: absent,
    logs: absent,
    contexts: absent,
    summons: { queued() {}, changed() {} },
  });
  const repository = new TriggersRepository(db);
  const rules = new TenantRules({ jobs, access: new TenantAccessRepository(db) });
  const triggers = new Triggers(
    { rows: repository, jobs, digests: { digestOf }, rules, read: readSubmission },
    options,
  );
  return { triggers, jobs: () => rows.list({ limit: 1000 }), rows: repository };
}

/** Several gateways on one database, with a tenant. A thread that waits for a lock of SQLite's keeps it from who has it. */
async function open(
  database: TestPool,
  dialect: string,
  digestOf?: ImageDigests['digestOf'],
  options: { deadline?: number } = {},
) {
  await new TenantsRepository(database.db).ensure('a');
  const all = [gateway(database.db, digestOf, options)];
  for (let i = 0; i < 2; i++)
    all.push(gateway(dialect === 'sqlite' ? database.db : await database.another(), digestOf, options));
  const fire = async ({ triggers }: (typeof all)[number]) => {
    const [onTime, onLook] = await Promise.all([triggers.fireDue(), triggers.lookAtImages()]);
    return onTime + onLook;
  };
  return { ...all[0]!, all, fireAll: () => Promise.all(all.map(fire)) };
}

/** As if a trigger's time had come so many milliseconds ago. */
async function comesDue(db: PoolDatabase, ago: number): Promise<number> {
  const due = (await new TriggersRepository(db).now()) - ago;
  await db.updateTable('job_triggers').set({ due_at: due }).execute();
  return due;
}

onEachPoolDatabase('triggers', (create, dialect) => {
  it('of a time start once, however many gateways there are', async () => {
    await using database = await create();
    const { triggers, jobs, fireAll } = await open(database, dialect);
    await triggers.put('a', 'nightly', nightly);
    expect((await fireAll()).reduce((sum, each) => sum + each)).toBe(0);
    for (let round = 1; round <= 5; round++) {
      const due = await comesDue(database.db, 10);
      const fired = await fireAll();
      expect(fired.reduce((sum, each) => sum + each)).toBe(1);
      const all = await jobs();
      expect(all).toHaveLength(round);
      expect(all[0]).toMatchObject({ state: 'queued', spec: { env: { AT: new Date(due).toISOString() } } });
      expect(await triggers.get('a', 'nightly')).toMatchObject({ lastId: all[0]!.id, lastError: null });
    }
  });

  it('of times that nobody was there for start once, or not at all', async () => {
    await using database = await create();
    const { triggers, jobs, fireAll } = await open(database, dialect);
    const often = { kind: 'schedule', cron: '* * * * *', timeZone: 'UTC' } as const;
    await triggers.put('a', 'once', { ...nightly, source: { ...often, missed: 'once' } });
    await triggers.put('a', 'skip', { ...nightly, source: { ...often, missed: 'skip' } });
    await comesDue(database.db, 3 * DAY);
    await fireAll();
    await fireAll();
    expect(await jobs()).toHaveLength(1);
    for (const name of ['once', 'skip']) {
      expect((await triggers.get('a', name)).dueAt).toBeGreaterThan(Date.now() - 60_000);
    }
  });

  it('are not in need of their gateway’s clock', async () => {
    await using database = await create();
    const { triggers, jobs, fireAll } = await open(database, dialect);
    const real = Date.now;
    for (const skew of [-600_000, 600_000]) {
      Date.now = () => real() + skew;
      try {
        await triggers.put('a', 'nightly', nightly);
        await fireAll();
        expect(await jobs()).toHaveLength(0);
        const { dueAt } = await triggers.get('a', 'nightly');
        expect(dueAt! % DAY).toBe(4 * 3_600_000);
        expect(dueAt! - real()).toBeLessThanOrEqual(DAY);
      } finally {
        Date.now = real;
      }
    }
  });

  it('that are switched off, or removed, start nothing', async () => {
    await using database = await create();
    const { triggers, jobs, fireAll } = await open(database, dialect);
    await triggers.put('a', 'off', { ...nightly, enabled: false });
    await triggers.put('a', 'gone', nightly);
    await comesDue(database.db, 10);
    await triggers.remove('a', 'gone');
    await fireAll();
    expect(await jobs()).toHaveLength(0);
    await expect(triggers.remove('a', 'gone')).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('start whole pipelines', async () => {
    await using database = await create();
    const { triggers, jobs, fireAll } = await open(database, dialect);
    const submission = { kind: 'pipeline', jobs: { one: job, two: { ...job, needs: ['one'] } } };
    await triggers.put('a', 'both', { ...nightly, submission });
    await comesDue(database.db, 10);
    await fireAll();
    const [two, one] = await jobs();
    expect([one, two].map((it) => [it!.name, it!.state])).toEqual([
      ['one', 'queued'],
      ['two', 'blocked'],
    ]);
    expect((await triggers.get('a', 'both')).lastId).toBe(one!.pipeline);
  });

  it('say what is wrong with what they ask for, and are not asked again each second', async () => {
    await using database = await create();
    const { triggers, jobs, fireAll } = await open(database, dialect);
    await triggers.put('a', 'needy', { ...nightly, submission: { ...job, needs: ['nobody'] } });
    await comesDue(database.db, 10);
    await fireAll();
    expect(await jobs()).toHaveLength(0);
    const { lastError, dueAt } = await triggers.get('a', 'needy');
    expect(lastError).toContain('needs a job that is not there');
    expect(dueAt).toBeGreaterThan(Date.now() - 60_000);
  });

  it('are refused for what no job can be', async () => {
    await using database = await create();
    const { triggers } = await open(database, dialect);
    const put = (submission: unknown) => triggers.put('a', 'x', { ...nightly, submission });
    await expect(put({ ...job, color: 'red' })).rejects.toThrow('color');
    await expect(put({ ...job, tenant: 'b' })).rejects.toThrow('tenant');
    await expect(put({ ...job, name: '{{commit}}' })).rejects.toThrow('no placeholder commit here, but time');
    await expect(triggers.put('b', 'x', nightly)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(triggers.put('a', 'x', { ...nightly, secret: 'x'.repeat(20) })).rejects.toThrow('secret');
  });

  it('of an image start when its tag means another digest', async () => {
    await using database = await create();
    let digest = 'sha256:one';
    let away = false;
    const { triggers, jobs, fireAll } = await open(database, dialect, async () => {
      if (away)
        throw new (await import('#errors/errors.ts')).SlipwayError('unavailable', 'no registry answers');
      return digest;
    });
    const submission = { kind: 'run', run: { image: 'busybox', env: { BASE: '{{digest}}' } } };
    const source = { kind: 'image', image: 'registry.example/base:1', every: 60_000 } as const;
    await triggers.put('a', 'base', { source, submission, enabled: true });
    await fireAll();
    await comesDue(database.db, 0);
    await fireAll();
    expect(await jobs()).toHaveLength(0);
    digest = 'sha256:two';
    away = true;
    await comesDue(database.db, 0);
    await fireAll();
    expect((await triggers.get('a', 'base')).lastError).toContain('no registry answers');
    away = false;
    for (let i = 0; i < 3; i++) {
      await comesDue(database.db, 0);
      await fireAll();
    }
    expect((await jobs()).map(({ spec }) => spec)).toMatchObject([{ env: { BASE: 'sha256:two' } }]);
  });

  it('of a Git host start once for an event, however often and wherever it is sent', async () => {
    await using database = await create();
    const { triggers, jobs, all } = await open(database, dialect);
    const submission = {
      kind: 'build',
      build: { context: { url: 'https://git.example/app.git#{{commit}}' }, tags: ['r.example/app:{{slug}}'] },
    };
    const source = { kind: 'git', from: 'github', refs: ['refs/heads/*'] } as const;
    const { trigger, secret } = await triggers.put('a', 'push', { source, submission, enabled: true });
    const commit = 'a'.repeat(40);
    const body = Buffer.from(JSON.stringify({ ref: 'refs/heads/x/Y', after: commit }));
    const signature = createHmac('sha256', secret!).update(body).digest('hex');
    const sent = { headers: { 'x-hub-signature-256': `sha256=${signature}` }, body };
    const ids = await Promise.all([...all, ...all].map((it) => it.triggers.receive(trigger.id, sent)));
    const [added] = await jobs();
    expect(ids.filter((id) => id !== undefined)).toEqual([added!.id]);
    expect(added!.spec).toMatchObject({
      context: { url: `https://git.example/app.git#${commit}` },
      tags: ['r.example/app:x-y'],
    });
    await expect(triggers.receive(trigger.id, { ...sent, body: Buffer.from('{}') })).rejects.toMatchObject({
      kind: 'unauthorized',
    });
    await expect(triggers.receive('guess', sent)).rejects.toMatchObject({ kind: 'not-found' });
    // The secret is kept when the rest is changed.
    expect(await triggers.put('a', 'push', { source, submission, enabled: false })).not.toHaveProperty(
      'secret',
    );
    await expect(triggers.receive(trigger.id, sent)).rejects.toMatchObject({ kind: 'conflict' });
    expect(await jobs()).toHaveLength(1);
  });

  it('of a tenant’s clients are theirs alone, and ask for what it may at that time', async () => {
    await using database = await create();
    const { triggers, jobs, fireAll } = await open(database, dialect);
    const access = new TenantAccessRepository(database.db);
    await new TenantsRepository(database.db).ensure('b');
    const policies = { a: parseTenantPolicy({ registries: ['r.example'] }), b: parseTenantPolicy({}) };
    for (const [name, policy] of Object.entries(policies)) await access.setPolicy(name, policy);
    const [a, b] = [policies.a, policies.b].map(
      (policy, at) => new TenantTriggers(triggers, () => ({ name: 'ab'[at]!, policy })),
    ) as [TenantTriggers, TenantTriggers];
    const own = { ...nightly, submission: { kind: 'run', run: { image: 'r.example/x' } } };

    await a.put('default', 'own', own);
    await triggers.put('a', 'operators', nightly);
    await expect(a.put('b', 'own', own)).rejects.toMatchObject({ kind: 'forbidden' });
    await expect(a.put('a', 'other', nightly)).rejects.toThrow('registry docker.io');
    const urgent = { ...own, submission: { ...own.submission, priority: 1 } };
    await expect(a.put('a', 'urgent', urgent)).rejects.toMatchObject({ kind: 'forbidden' });
    const elsewhere = { kind: 'image', image: 'elsewhere.example/x:1', every: 60_000 } as const;
    await expect(a.put('a', 'image', { ...own, source: elsewhere })).rejects.toThrow('elsewhere.example');
    // Neither takes the other's name, and nobody sees what is not theirs.
    await expect(a.put('a', 'operators', own)).rejects.toMatchObject({ kind: 'conflict' });
    await expect(triggers.put('a', 'own', nightly)).rejects.toMatchObject({ kind: 'conflict' });
    expect((await a.list(undefined)).map(({ name }) => name)).toEqual(['own']);
    expect(await b.list(undefined)).toEqual([]);
    for (const [who, name] of [
      [a, 'operators'],
      [b, 'own'],
    ] as const) {
      await expect(who.get('default', name)).rejects.toMatchObject({ kind: 'not-found' });
      await expect(who.remove('default', name)).rejects.toMatchObject({ kind: 'not-found' });
    }
    await comesDue(database.db, 10);
    await fireAll();
    expect((await jobs()).map(({ confined, spec }) => [confined, (spec as { image: string }).image])).toEqual(
      expect.arrayContaining([
        [true, 'r.example/x'],
        [false, 'busybox'],
      ]),
    );

    // What it may is another thing by now.
    await access.setPolicy('a', parseTenantPolicy({ registries: [] }));
    await comesDue(database.db, 10);
    await fireAll();
    expect((await jobs()).filter(({ confined }) => confined)).toHaveLength(1);
    expect((await a.get('a', 'own')).lastError).toContain('policy does not allow the registry r.example');
    await a.remove('a', 'own');
    expect((await triggers.list('a')).map(({ name }) => name)).toEqual(['operators']);
  });

  it('of a tenant’s clients look at images as that tenant: what it may not read starts nothing', async () => {
    await using database = await create();
    let digest = 'sha256:one';
    const asked: (string | undefined)[] = [];
    const { triggers, jobs, fireAll } = await open(database, dialect, async (image, { tenant }) => {
      asked.push(tenant);
      if (image.includes('private')) throw unauthorized('pull access denied');
      return digest;
    });
    const own = new TenantTriggers(triggers, () => ({ name: 'a', policy: parseTenantPolicy({}) }));
    const submission = { kind: 'run', run: { image: 'r.example/x' } };
    for (const name of ['mine', 'private']) {
      const source = { kind: 'image', image: `r.example/${name}:1`, every: 60_000 } as const;
      await own.put('a', name, { source, submission, enabled: true });
    }
    await fireAll();
    digest = 'sha256:two';
    await comesDue(database.db, 0);
    await fireAll();
    expect(await jobs()).toHaveLength(1);
    expect(new Set(asked)).toEqual(new Set(['a']));
    // What the registry says may be anybody's.
    expect((await own.get('a', 'private')).lastError).toContain('does not show this image');
    expect((await own.get('a', 'mine')).lastError).toBeNull();
  });

  it('of a tenant whose registries do not answer hold up nobody else’s, and end themselves', async () => {
    await using database = await create();
    const answers = Promise.withResolvers<void>();
    const [looked, underWay, most] = [new Set<string>(), new Set<string>(), { b: 0, all: 0 }];
    const digestOf: ImageDigests['digestOf'] = async (image, { signal }) => {
      looked.add(image);
      if (image.startsWith('good')) return 'sha256:one';
      underWay.add(image);
      most.b = Math.max(most.b, [...underWay].filter((each) => each.startsWith('b.')).length);
      most.all = Math.max(most.all, underWay.size);
      await new Promise((resolve) => signal!.addEventListener('abort', resolve));
      underWay.delete(image);
      // Whatever it does with that.
      await answers.promise;
      return 'sha256:one';
    };
    const { triggers, jobs } = await open(database, dialect, digestOf, { deadline: 500 });
    const submission = { kind: 'run', run: { image: 'r.example/x' } };
    const put = async (tenant: string, image: string) => {
      await new TenantsRepository(database.db).ensure(tenant);
      const source = { kind: 'image', image, every: 3_600_000 } as const;
      await triggers.put(tenant, image.replaceAll(/[^a-z0-9]/g, '-'), { source, submission, enabled: true });
    };
    for (let n = 0; n < 6; n++) await put('b', `b.example/x${n}:1`);
    for (const other of ['c', 'd', 'e', 'f', 'g']) {
      for (let n = 0; n < 2; n++) await put(other, `${other}.example/x${n}:1`);
    }
    await put('a', 'good.example/x:1');
    await triggers.put('a', 'nightly', nightly);
    await comesDue(database.db, 10);
    const looking = triggers.lookAtImages();
    // Schedules wait for no image.
    expect(await triggers.fireDue()).toBe(1);
    expect(await looking).toBe(0);
    answers.resolve();
    expect(looked.size).toBe(17);
    expect(most.b).toBeLessThanOrEqual(2);
    expect(most.all).toBeLessThanOrEqual(8);
    expect(await jobs()).toHaveLength(1);
    expect((await triggers.get('b', 'b-example-x5-1')).lastError).toContain('did not answer within 0.5 sec');
    expect((await triggers.get('a', 'good-example-x-1')).lastError).toBeNull();
  });

  it('forget events in time', async () => {
    await using database = await create();
    const { triggers } = await open(database, dialect);
    await sql`insert into job_trigger_events (trigger_id, event, at) values ('t', 'old', 1)`.execute(
      database.db,
    );
    await triggers.forgetEvents();
    expect(await database.db.selectFrom('job_trigger_events').selectAll().execute()).toEqual([]);
  });
});
