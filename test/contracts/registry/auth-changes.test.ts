import { expect, it } from 'vitest';
import { createAuth } from '#auth/auth.ts';
import { followChanges } from '#auth/follow-changes.ts';
import { watchChanges } from '#database/registry/changes.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';
import { AUTH_OPTIONS } from '../../registry/auth-registry.ts';

const ACTOR = { principal: 'user:root' };

onEachDatabase('copies of policies', (create) => {
  it('are out of date as soon as another process changed one', async () => {
    await using database = await create();
    const [here, there] = [database.db, await database.another()];
    const [mine, theirs] = [here, there].map((db) => createAuth({ db, record: recordEvents }, AUTH_OPTIONS));
    await using changes = await watchChanges(there, database.options);
    using _following = followChanges(theirs!, changes);
    await mine!.policies.put({ subject: 'anonymous', pattern: 'a/**', actions: ['pull'] }, ACTOR);
    await changes.look();

    await theirs!.policies.copy.current();
    expect(theirs!.policies.copy.trusted).toBeDefined();
    await mine!.policies.remove({ subject: 'anonymous', pattern: 'a/**' }, ACTOR);
    await changes.look();
    expect(theirs!.policies.copy.trusted).toBeUndefined();
  });
});
