import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { LogEvent } from 'kysely';
import { expect, it } from 'vitest';
import { openPoolDatabase, poolDatabase } from '#database/pool/open.ts';
import { DueRepository } from '#pool/jobs/due-repository.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';

const JOB = { tenant: 'a', name: 'j', kind: 'build', spec: {}, requirement: '', priority: 0, maxAttempts: 3 };

it('SQLite reads the jobs that a query is about, not all of a tenant’s', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-pool-'));
  const options = { driver: 'sqlite', file: join(folder, 'pool.db') } as const;
  try {
    await (await openPoolDatabase(options)).destroy();
    const queries: LogEvent[] = [];
    await using db = Object.assign(
      await poolDatabase.open(options, { log: (event) => queries.push(event) }),
      {
        [Symbol.asyncDispose]: () => db.destroy(),
      },
    );
    const tenants = new TenantsRepository(db);
    await tenants.ensure('a');
    const jobs = new JobsRepository(db);
    const affinity = 'project';
    await jobs.enqueue({ ...JOB, kind: 'build', timeout: 1, affinity });
    const due = new DueRepository(db);
    await due.release();
    await due.admitHeld();
    using plans = new DatabaseSync(options.file, { readOnly: true });
    const used = new Set<string>();
    for (const { query } of queries) {
      if (!/"jobs"/.test(query.sql) || query.sql.startsWith('insert')) continue;
      const rows = plans.prepare(`explain query plan ${query.sql}`).all(...(query.parameters as string[]));
      const plan = rows.map(({ detail }) => String(detail)).join('\n');
      expect(plan, query.sql).not.toContain('jobs_by_tenant');
      expect(plan, query.sql).not.toMatch(/SCAN jobs$/m);
      for (const [index] of plan.matchAll(/jobs_\w+/g)) used.add(index);
    }
    expect([...used]).toEqual(expect.arrayContaining(['jobs_held', 'jobs_delayed', 'jobs_affinity']));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
