import { z } from 'zod';
import { givenMoment, isoTime, moment, pageOf, pageQuery, readCursor, toPage } from '#api/page.ts';
import type { Robot } from '#auth/robots/robot.ts';
import type { Robots } from '#auth/robots/robots.ts';
import { accountName } from './accounts.ts';
import { type Operation, operation } from './operation.ts';

const robot = z
  .object({
    name: z.string().describe('It logs in as `robot+NAME` with one of its secrets.'),
    description: z.string(),
    disabled: z.boolean(),
    expiresAt: moment.optional(),
    createdAt: moment,
    createdBy: z.string(),
  })
  .meta({ title: 'Robot' });

const params = z.object({ name: accountName });
const shared = { tag: 'robots', caller: 'admin' } as const;

/** Accounts for machines. What they may do is in their grants. */
export function robotRoutes({ robots }: { robots: Robots }): Operation[] {
  return [
    operation({
      ...shared,
      id: 'listRobots',
      method: 'GET',
      path: '/robots',
      summary: 'The robots, by name',
      query: pageQuery,
      reply: pageOf(robot),
      async handle({ query: { limit, cursor } }) {
        const found = await robots.list({ limit: limit + 1, last: readCursor(z.string(), cursor) });
        const { items, next } = toPage(found, limit, ({ name }) => name);
        return { items: items.map(shown), next };
      },
    }),
    operation({
      ...shared,
      id: 'createRobot',
      method: 'POST',
      path: '/robots',
      summary: 'Make a robot; its secrets are made apart',
      body: z.object({
        name: accountName,
        description: z.string().optional(),
        expiresAt: givenMoment.optional(),
      }),
      status: 201,
      reply: robot,
      handle: async ({ body, actor }) => shown(await robots.create(body, actor)),
    }),
    operation({
      ...shared,
      id: 'getRobot',
      method: 'GET',
      path: '/robots/{name}',
      summary: 'One robot',
      params,
      reply: robot,
      handle: async ({ params: { name } }) => shown(await robots.get(name)),
    }),
    operation({
      ...shared,
      id: 'updateRobot',
      method: 'PATCH',
      path: '/robots/{name}',
      summary: 'Change a robot',
      params,
      body: z.object({
        description: z.string().optional(),
        disabled: z.boolean().optional(),
        expiresAt: givenMoment.nullable().optional().describe('null: never.'),
      }),
      reply: robot,
      handle: async ({ params: { name }, body, actor }) => shown(await robots.update(name, body, actor)),
    }),
    operation({
      ...shared,
      id: 'deleteRobot',
      method: 'DELETE',
      path: '/robots/{name}',
      summary: 'Remove a robot, with grants and secrets',
      params,
      handle: ({ params: { name }, actor }) => robots.remove(name, actor),
    }),
  ];
}

function shown({ createdAt, expiresAt, ...rest }: Robot) {
  return {
    ...rest,
    createdAt: isoTime(createdAt),
    ...(expiresAt !== undefined && { expiresAt: isoTime(expiresAt) }),
  };
}
