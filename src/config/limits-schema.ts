import { z } from 'zod';
import { duration } from './quantity.ts';

/** More would be too fine for the clock that counts. */
const MAX_EACH_MS = 10;

/** So many in a while, written as `600/1m`. */
const rate = z.string().transform((text, context) => {
  const [, count, period] = /^(\d{1,9})\/(.+)$/.exec(text) ?? [];
  const parsed = duration.safeParse(period ?? '');
  const usable = parsed.success && parsed.data >= 1000 && parsed.data <= 366 * 86_400_000;
  if (usable && Number(count) > 0 && Number(count) <= parsed.data * MAX_EACH_MS)
    return { count: Number(count), period: parsed.data };
  context.addIssue({ code: 'custom', message: 'expected so many in a while, such as 600/1m' });
  return z.NEVER;
});

const network = z.union([z.cidrv4(), z.cidrv6()], { error: 'expected a network such as 10.0.0.0/24' });

/** The settings below `registry.rateLimits`. */
export const rateLimitsSchema = z.strictObject({
  address: rate.nullable(),
  principal: rate.nullable(),
  pulls: rate.nullable(),
  exempt: z.array(network),
});
