import { z } from 'zod';
import { duration } from './quantity.ts';

const between = (least: number, most: number, expected: string) =>
  duration.refine((value) => value >= least && value <= most, { error: `expected ${expected}` });

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const oidcSchema = z.strictObject({
  issuer: z.url({ protocol: /^https?$/, error: 'expected a URL such as https://login.example' }).nullable(),
  clientId: z.string(),
  clientSecretFile: z.string().startsWith('/', 'expected an absolute path').nullable(),
  scopes: z.array(z.string().min(1)),
  userClaim: z.string().min(1),
  groupsClaim: z.string().min(1).nullable(),
  groups: z.array(z.string().min(1)),
  claims: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
});

/** The settings below `registry.auth`. */
export const authSchema = z.strictObject({
  mode: z.enum(['none', 'token']),
  realm: z
    .url({ protocol: /^https?$/, error: 'expected a URL such as https://registry.example/token' })
    .nullable(),
  service: z.string().regex(/^[A-Za-z0-9._:-]{1,100}$/, 'expected a name such as registry.example'),
  accessTokenLife: between(MINUTE, DAY, 'between 60s and 1d'),
  exchangedTokenLife: between(MINUTE, DAY, 'between 60s and 1d'),
  refreshTokenLife: between(MINUTE, 3_650 * DAY, 'between 60s and 3650d'),
  keyLife: between(60 * MINUTE, 3_650 * DAY, 'between 1h and 3650d'),
  sessionLife: between(MINUTE, 365 * DAY, 'between 60s and 365d'),
  oidc: oidcSchema,
  clockTolerance: between(0, 5 * MINUTE, 'at most 5m'),
  initialAdmin: z.strictObject({
    name: z.string().nullable(),
    password: z.string().nullable(),
    passwordFile: z.string().startsWith('/', 'expected an absolute path').nullable(),
  }),
});
