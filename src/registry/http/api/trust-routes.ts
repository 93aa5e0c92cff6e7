import { z } from 'zod';
import { isoTime, moment, pageOf } from '#api/page.ts';
import type { SigningKeys } from '#auth/keys/signing-keys.ts';
import type { TrustPolicies } from '#auth/trust/trust-policies.ts';
import { accountName } from './accounts.ts';
import { type Operation, operation } from './operation.ts';

const rules = {
  issuer: z.string().max(500).describe('Such as `https://token.actions.githubusercontent.com`.'),
  audience: z.string().max(300).describe('What the tokens have to be for.'),
  claims: z
    .record(z.string(), z.union([z.string(), z.array(z.string())]))
    .describe('What the tokens have to say: a pattern with `*`, or several, for each claim.'),
};

const trustPolicy = z
  .object({ name: accountName, ...rules, createdAt: moment, createdBy: z.string() })
  .meta({ title: 'TrustPolicy' });

const params = z.object({ name: accountName });
const shared = { tag: 'trust', caller: 'admin' } as const;

/** Which CI systems' jobs may log in without a secret. What they may do is granted to `federated:NAME`. */
export function trustRoutes({ trust }: { trust: TrustPolicies }): Operation[] {
  return [
    operation({
      ...shared,
      id: 'listTrustPolicies',
      method: 'GET',
      path: '/trust-policies',
      summary: 'The trust policies, by name',
      reply: pageOf(trustPolicy),
      handle: async () => ({ items: (await trust.list()).map(shown) }),
    }),
    operation({
      ...shared,
      id: 'getTrustPolicy',
      method: 'GET',
      path: '/trust-policies/{name}',
      summary: 'One trust policy',
      params,
      reply: trustPolicy,
      handle: async ({ params: { name } }) => shown(await trust.get(name)),
    }),
    operation({
      ...shared,
      id: 'putTrustPolicy',
      method: 'PUT',
      path: '/trust-policies/{name}',
      summary: 'Trust tokens of an issuer, in the place of the policy of that name',
      params,
      body: z.object(rules),
      reply: trustPolicy,
      handle: async ({ params: { name }, body, actor }) => shown(await trust.put({ name, ...body }, actor)),
    }),
    operation({
      ...shared,
      id: 'deleteTrustPolicy',
      method: 'DELETE',
      path: '/trust-policies/{name}',
      summary: 'Trust no longer; what it let in is let out',
      params,
      handle: ({ params: { name }, actor }) => trust.remove(name, actor),
    }),
  ];
}

const signingKey = z
  .object({
    kid: z.string(),
    createdAt: moment,
    signsFrom: moment,
    signs: z.boolean().describe('Whether it signs now.'),
  })
  .meta({ title: 'SigningKey' });

/** The keys that sign this registry's tokens. */
export function keyRoutes({ keys }: { keys: SigningKeys }): Operation[] {
  return [
    operation({
      id: 'listKeys',
      method: 'GET',
      path: '/keys',
      tag: 'keys',
      summary: 'The keys that tokens are signed with',
      caller: 'admin',
      reply: pageOf(signingKey),
      handle: async () => ({
        items: (await keys.list()).map(({ createdAt, signsFrom, ...rest }) => ({
          ...rest,
          createdAt: isoTime(createdAt),
          signsFrom: isoTime(signsFrom),
        })),
      }),
    }),
    operation({
      id: 'rotateKeys',
      method: 'POST',
      path: '/keys/rotation',
      tag: 'keys',
      summary: 'Sign with a new key',
      caller: 'admin',
      body: z
        .strictObject({
          revokeOthers: z.boolean().optional().describe('Whether all tokens from before are void at once.'),
        })
        .default({}),
      reply: z.object({ kid: z.string() }),
      handle: async ({ body, actor }) => ({ kid: await keys.rotate(body, actor) }),
    }),
  ];
}

function shown({ createdAt, claims, ...rest }: Awaited<ReturnType<TrustPolicies['get']>>) {
  return { ...rest, claims: mutable(claims), createdAt: isoTime(createdAt) };
}

function mutable(claims: Readonly<Record<string, string | readonly string[]>>) {
  return Object.fromEntries(
    Object.entries(claims).map(([claim, rule]) => [claim, typeof rule === 'string' ? rule : [...rule]]),
  );
}
