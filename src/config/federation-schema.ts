import { z } from 'zod';
import { duration } from './quantity.ts';

const network = z.union([z.cidrv4(), z.cidrv6()], { error: 'expected a network such as 10.1.0.0/16' });

/** The settings below `registry.webhooks`. */
export const webhooksSchema = z.strictObject({
  allowedNetworks: z.array(network),
  attempts: z.int().min(1).max(100),
  firstDelay: duration,
  maxDelay: duration,
  timeout: duration,
  keep: duration,
});

/** The settings below `registry.statistics`. */
export const statisticsSchema = z.strictObject({ interval: duration });
