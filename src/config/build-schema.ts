import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { duration, size } from './quantity.ts';

/** Networks that nothing is downloaded from. */
export const refusedNetworks = z.array(
  z.union([z.literal('internal'), z.cidrv4(), z.cidrv6()], {
    error: "expected a network such as 10.0.0.0/8, or 'internal'",
  }),
);

/** How the worker builds. */
export const buildSchema = z.strictObject({
  parallelism: z
    .int()
    .min(1)
    .max(1024)
    .nullable()
    .transform((given) => given ?? Math.max(4, 2 * availableParallelism())),
  maxConcurrent: z.int().min(1).max(1024),
  refusedNetworks,
  clientTimeout: duration,
  entitlements: z.array(z.enum(['network.host', 'security.insecure', 'device'])),
  steps: z.strictObject({
    memory: size.nullable(),
    cpus: z.number().positive().nullable(),
    pids: z.int().min(1).nullable(),
  }),
  cacheRepository: z
    .string()
    .regex(
      /^(?:[A-Za-z0-9.:[\]-]+\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/,
      'expected a repository such as slipway/build-cache',
    )
    .nullable(),
  cacheCredentials: z.string().startsWith('/', 'expected an absolute path').nullable(),
  cache: z.strictObject({ reserved: size, maxUsed: size, minFree: size, maxUnused: duration }),
  history: z.strictObject({ maxBuilds: z.int().min(1), maxAge: duration, maxLogs: size }),
});
