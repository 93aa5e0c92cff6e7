import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { duration, size } from './quantity.ts';

/** The settings below `pool.jobs`. */
export const jobsSchema = z.strictObject({
  slots: z
    .int()
    .min(0)
    .max(1024)
    .nullable()
    .transform((given) => given ?? Math.max(2, availableParallelism())),
  storage: z.enum(['filesystem', 's3']),
  credentials: z.string().startsWith('/', 'expected an absolute path').nullable(),
  tenantCredentials: z.string().startsWith('/', 'expected an absolute path').nullable(),
  maxLog: size,
  maxContext: size,
  maxArtifact: size,
  webhookNetworks: z.array(z.string()),
  tenantWebhookNetworks: z.array(z.string()),
  keep: duration,
  keepContexts: duration,
});
