import { z } from 'zod';
import { isoTime, moment, pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import type { User } from '#auth/users/user.ts';
import type { Users } from '#auth/users/users.ts';
import { accountName, password } from './accounts.ts';
import { type Operation, operation } from './operation.ts';

const user = z
  .object({
    name: z.string(),
    displayName: z.string().optional(),
    email: z.string().optional(),
    hasPassword: z.boolean(),
    disabled: z.boolean().describe('Cannot log in; what was logged in is logged out.'),
    createdAt: moment,
    lastLoginAt: moment.optional(),
  })
  .meta({ title: 'User' });

const params = z.object({ name: accountName });
const shared = { tag: 'users', caller: 'admin' } as const;

/** People with accounts. What they may do is in their grants. */
export function userRoutes({ users }: { users: Users }): Operation[] {
  return [
    operation({
      ...shared,
      id: 'listUsers',
      method: 'GET',
      path: '/users',
      summary: 'The users, by name',
      query: pageQuery,
      reply: pageOf(user),
      async handle({ query: { limit, cursor } }) {
        const found = await users.list({ limit: limit + 1, last: readCursor(z.string(), cursor) });
        const { items, next } = toPage(found, limit, ({ name }) => name);
        return { items: items.map(shown), next };
      },
    }),
    operation({
      ...shared,
      id: 'createUser',
      method: 'POST',
      path: '/users',
      summary: 'Make a user',
      body: z.object({
        name: accountName,
        password: password.optional(),
        displayName: z.string().optional(),
        email: z.string().optional(),
      }),
      status: 201,
      reply: user,
      handle: async ({ body, actor }) => shown(await users.create(body, actor)),
    }),
    operation({
      ...shared,
      id: 'getUser',
      method: 'GET',
      path: '/users/{name}',
      summary: 'One user',
      params,
      reply: user,
      handle: async ({ params: { name } }) => shown(await users.get(name)),
    }),
    operation({
      ...shared,
      id: 'updateUser',
      method: 'PATCH',
      path: '/users/{name}',
      summary: 'Change a user',
      description: 'A new password, and being disabled, log the user out everywhere.',
      params,
      body: z.object({
        password: password.optional(),
        displayName: z.string().nullable().optional(),
        email: z.string().nullable().optional(),
        disabled: z.boolean().optional(),
      }),
      reply: user,
      handle: async ({ params: { name }, body, actor }) => shown(await users.update(name, body, actor)),
    }),
    operation({
      ...shared,
      id: 'deleteUser',
      method: 'DELETE',
      path: '/users/{name}',
      summary: 'Remove a user, with grants and tokens',
      params,
      handle: ({ params: { name }, actor }) => users.remove(name, actor),
    }),
  ];
}

function shown({ createdAt, lastLoginAt, ...rest }: User) {
  return {
    ...rest,
    createdAt: isoTime(createdAt),
    ...(lastLoginAt !== undefined && { lastLoginAt: isoTime(lastLoginAt) }),
  };
}
