import { expect, it } from 'vitest';
import { AuditRepository } from '#registry/events/audit-repository.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

onEachDatabase('the audit log', (create) => {
  it('is filtered, paged and forgotten', async () => {
    await using database = await create();
    const { db } = database;
    for (const [index, actor] of ['user:ada', 'robot:ci', 'user:ada'].entries()) {
      await recordEvents(db, { principal: actor, address: '::1' }, [
        { action: 'manifest.push', repository: `a/r${index}`, size: 5 },
        { action: 'repository.delete', repository: 'a/b', outcome: 'denied', detail: { reason: 'no' } },
      ]);
    }
    const audit = new AuditRepository(db);
    const all = await audit.list({}, 100);
    expect(all).toHaveLength(6);
    expect(all[0]).toMatchObject({
      actor: 'user:ada',
      action: 'repository.delete',
      detail: { reason: 'no' },
    });
    const paged = [];
    for (let last = (await audit.list({}, 2)).slice(); last.length > 0; ) {
      paged.push(...last);
      const { at, id } = last.at(-1)!;
      last = await audit.list({}, 2, [at, id]);
    }
    expect(paged).toEqual(all);
    expect(await audit.list({ actor: 'user:ada', outcome: 'done' }, 100)).toHaveLength(2);
    expect(await audit.list({ repository: 'a/r1', action: 'manifest.push' }, 100)).toMatchObject([
      { actor: 'robot:ci', size: 5, address: '::1' },
    ]);
    expect(await audit.list({ since: all[0]!.at + 1 }, 100)).toEqual([]);
    expect(await audit.list({ until: all.at(-1)!.at }, 100)).toEqual([]);
    expect(await audit.prune(all[0]!.at + 1, new AbortController().signal)).toBe(6);
    expect(await audit.list({}, 100)).toEqual([]);
  });
});
