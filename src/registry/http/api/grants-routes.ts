import { z } from 'zod';
import { isoTime, moment, pageOf } from '#api/page.ts';
import type { Grant } from '#auth/policies/grant.ts';
import type { Groups } from '#auth/policies/groups.ts';
import type { Policies } from '#auth/policies/policies.ts';
import { accountName, grantActions, pattern, subject } from './accounts.ts';
import { type Operation, operation } from './operation.ts';

const grant = z
  .object({ subject, pattern, actions: grantActions, createdAt: moment, createdBy: z.string() })
  .meta({ title: 'Grant' });

const params = z.object({ subject, pattern });

/** Who may do what to which repositories. */
export function grantRoutes({ policies }: { policies: Policies }): Operation[] {
  return [
    operation({
      id: 'listGrants',
      method: 'GET',
      path: '/grants',
      tag: 'grants',
      summary: 'The grants for repositories that the caller administers',
      caller: 'anyone',
      query: z.object({ subject: subject.optional() }),
      reply: pageOf(grant),
      async handle({ query, access }) {
        const found = await policies.list(query);
        return { items: found.filter((it) => access.administers(it.pattern)).map(shown) };
      },
    }),
    operation({
      id: 'putGrant',
      method: 'PUT',
      path: '/grants/{subject}/{pattern}',
      tag: 'grants',
      summary: 'Say what a subject may do, in the place of what it might before',
      caller: { namespace: (target) => target.params.pattern },
      params,
      body: z.object({ actions: grantActions }),
      handle: ({ params: target, body: { actions }, actor }) => policies.put({ ...target, actions }, actor),
    }),
    operation({
      id: 'deleteGrant',
      method: 'DELETE',
      path: '/grants/{subject}/{pattern}',
      tag: 'grants',
      summary: 'Take a grant back',
      caller: { namespace: (target) => target.params.pattern },
      params,
      handle: ({ params: target, actor }) => policies.remove(target, actor),
    }),
  ];
}

/** Users and robots that get grants together. */
export function groupRoutes({ groups }: { groups: Groups }): Operation[] {
  const member = z.object({ group: accountName, member: subject });
  return [
    operation({
      id: 'listGroupMembers',
      method: 'GET',
      path: '/groups',
      tag: 'groups',
      summary: 'The members of groups',
      caller: 'admin',
      query: z.object({ group: accountName.optional() }),
      reply: pageOf(member.meta({ title: 'GroupMember' })),
      handle: async ({ query }) => ({ items: await groups.list(query) }),
    }),
    operation({
      id: 'addGroupMember',
      method: 'PUT',
      path: '/groups/{group}/members/{member}',
      tag: 'groups',
      summary: 'Put a user or robot into a group, which comes into being with its first member',
      caller: 'admin',
      params: member,
      handle: (request) => groups.add(request.params.group, request.params.member, request.actor),
    }),
    operation({
      id: 'removeGroupMember',
      method: 'DELETE',
      path: '/groups/{group}/members/{member}',
      tag: 'groups',
      summary: 'Take a user or robot out of a group',
      caller: 'admin',
      params: member,
      handle: (request) => groups.remove(request.params.group, request.params.member, request.actor),
    }),
  ];
}

function shown({ createdAt, actions, ...rest }: Grant) {
  return { ...rest, actions: [...actions], createdAt: isoTime(createdAt) };
}
