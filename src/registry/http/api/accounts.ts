import { z } from 'zod';
import { GRANT_ACTIONS } from '#auth/policies/grant.ts';

/** How users, robots, groups and trust policies are named. */
export const accountName = z
  .string()
  .min(1)
  .max(64)
  .describe('Letters in lower case, digits and `.`, `_`, `-` between them.');

export const password = z.string().max(512).meta({ format: 'password' });

/** Repositories that something is about. */
export const pattern = z
  .string()
  .max(255)
  .describe('A repository such as `team/app`, or several: `team/*`, `team/**`, `**` for all.');

export const grantActions = z
  .array(z.enum(GRANT_ACTIONS))
  .min(1)
  .max(GRANT_ACTIONS.length)
  .describe('`admin` is all the others, and deciding who may do them; on `**` it is to administer Slipway.');

export const subject = z
  .string()
  .max(100)
  .describe('`user:NAME`, `robot:NAME`, `group:NAME`, `federated:NAME`, `authenticated` or `anonymous`.');
