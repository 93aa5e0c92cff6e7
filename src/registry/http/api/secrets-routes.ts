import { z } from 'zod';
import { givenMoment, isoTime, moment, pageOf } from '#api/page.ts';
import type { Secret } from '#auth/secrets/secret.ts';
import type { Secrets } from '#auth/secrets/secrets.ts';
import { accountName, grantActions, pattern } from './accounts.ts';
import { type Operation, operation } from './operation.ts';

const permissions = z
  .array(z.strictObject({ pattern, actions: grantActions }))
  .max(20)
  .describe('What it is good for at most; without them, for all that its owner may do.');

const secret = z
  .object({
    id: z.string(),
    owner: z.string(),
    description: z.string(),
    permissions: permissions.optional(),
    expiresAt: moment.optional(),
    createdAt: moment,
    lastUsedAt: moment.optional().describe('To ten minutes.'),
  })
  .meta({ title: 'Secret' });

const created = secret.extend({ secret: z.string().describe('The password; it is not shown again.') });

/** Whose secrets there are: those of a robot are its passwords, those of a user personal access tokens. */
const OWNERS = [
  { kind: 'user', path: '/users/{name}/tokens', tag: 'users', word: 'Token', what: 'access token of a user' },
  { kind: 'robot', path: '/robots/{name}/secrets', tag: 'robots', word: 'Secret', what: 'secret of a robot' },
] as const;

/** Passwords that Slipway makes, for `docker login`. */
export function secretRoutes({ secrets }: { secrets: Secrets }): Operation[] {
  return OWNERS.flatMap(({ kind, path, tag, word, what }) => [
    operation({
      id: `list${tag === 'users' ? 'User' : 'Robot'}${word}s`,
      method: 'GET',
      path,
      tag,
      summary: `Every ${what}, the oldest first`,
      caller: 'admin',
      params: z.object({ name: accountName }),
      reply: pageOf(secret),
      handle: async ({ params: { name } }) => ({
        items: (await secrets.list(`${kind}:${name}`)).map(shown),
      }),
    }),
    operation({
      id: `create${tag === 'users' ? 'User' : 'Robot'}${word}`,
      method: 'POST',
      path,
      tag,
      summary: `Make a ${what}`,
      caller: 'admin',
      params: z.object({ name: accountName }),
      body: z.object({
        description: z.string().optional(),
        permissions: permissions.optional(),
        expiresAt: givenMoment.optional(),
      }),
      status: 201,
      reply: created,
      async handle({ params: { name }, body, actor }) {
        const { secret: text, ...rest } = await secrets.create({ owner: `${kind}:${name}`, ...body }, actor);
        return { ...shown(rest), secret: text };
      },
    }),
    operation({
      id: `delete${tag === 'users' ? 'User' : 'Robot'}${word}`,
      method: 'DELETE',
      path: `${path}/{id}`,
      tag,
      summary: `Revoke a ${what}`,
      caller: 'admin',
      params: z.object({ name: accountName, id: z.string().max(100) }),
      handle: ({ params: { name, id }, actor }) => secrets.remove(`${kind}:${name}`, id, actor),
    }),
  ]);
}

function shown({ createdAt, expiresAt, lastUsedAt, permissions: limits, ...rest }: Secret) {
  return {
    ...rest,
    ...(limits && {
      permissions: limits.map(({ pattern: of, actions }) => ({ pattern: of, actions: [...actions] })),
    }),
    createdAt: isoTime(createdAt),
    ...(expiresAt !== undefined && { expiresAt: isoTime(expiresAt) }),
    ...(lastUsedAt !== undefined && { lastUsedAt: isoTime(lastUsedAt) }),
  };
}
