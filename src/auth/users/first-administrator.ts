import { randomBytes } from 'node:crypto';
import { isKind } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import { EVERYTHING } from '../policies/pattern.ts';
import type { Policies } from '../policies/policies.ts';
import type { Users } from './users.ts';

const SYSTEM: Actor = { principal: 'system' };

/**
 * Sees to it that somebody can administer: while nobody may, the user of this name may. Made if there is none, with
 * the password that is handed in or one that is made up, which is returned. Whichever process comes first does it.
 */
export async function ensureAdministrator(
  services: { users: Users; policies: Policies },
  options: { name: string; password: () => string | undefined },
): Promise<{ generated: string } | undefined> {
  const { users, policies } = services;
  const grants = await policies.list();
  if (grants.some(({ pattern, actions }) => pattern === EVERYTHING && actions.includes('admin'))) return;
  const given = await options.password();
  const password = given ?? randomBytes(18).toString('base64url');
  const made = await users.create({ name: options.name, password }, SYSTEM).then(
    () => true,
    (error: unknown) => {
      if (isKind(error, 'conflict')) return false;
      throw error;
    },
  );
  await policies.put({ subject: `user:${options.name}`, pattern: EVERYTHING, actions: ['admin'] }, SYSTEM);
  return made && given === undefined ? { generated: password } : undefined;
}
