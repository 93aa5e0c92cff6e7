import type { Changes } from '#database/registry/changes.ts';
import type { Auth } from './auth.ts';
import { KEPT_TOPICS } from './auth-versions-repository.ts';

/**
 * Has this process look at once when another one changes policies or keys. Without it, or while nothing is heard, it
 * looks within a second.
 */
export function followChanges(
  { policies, keys }: Pick<Auth, 'policies' | 'keys'>,
  changes: Changes,
): Disposable {
  const subscriptions = new DisposableStack();
  subscriptions.use(changes.subscribe(KEPT_TOPICS.policies, () => policies.copy.invalidate()));
  subscriptions.use(changes.subscribe(KEPT_TOPICS.keys, () => keys.invalidate()));
  return subscriptions;
}
