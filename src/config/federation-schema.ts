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

const registryUrl = z.url({
  protocol: /^https?$/,
  error: 'expected a URL such as https://registry-1.docker.io',
});
const prefix = z
  .string()
  .regex(
    /^(?:[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)?$/,
    'expected a name such as hub, or ""',
  );

/** The settings below `registry.mirrors`. */
export const mirrorsSchema = z.array(
  z.strictObject({
    prefix,
    namespace: z.string().min(1).optional(),
    upstreams: z
      .array(z.strictObject({ url: registryUrl, credentials: z.string().startsWith('/').optional() }))
      .min(1, 'expected at least one upstream'),
  }),
);

/** The settings below `registry.mirroring`. */
export const mirroringSchema = z.strictObject({
  freshness: duration,
  absence: duration,
  expiry: duration,
  timeout: duration,
  downloads: z.int().min(1).max(1000),
});

/** The settings below `registry.replication`. */
export const replicationSchema = z.strictObject({
  rules: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected a name such as backup'),
        url: registryUrl,
        credentials: z.string().startsWith('/').optional(),
        repositories: z.array(z.string().min(1)).min(1),
        prefix: prefix.optional(),
        deletes: z.boolean().optional(),
      }),
    )
    .refine(
      (rules) => new Set(rules.map(({ name }) => name)).size === rules.length,
      'two rules have one name',
    ),
  attempts: z.int().min(1).max(1000),
  firstDelay: duration,
  maxDelay: duration,
});

/** The settings below `registry.statistics`. */
export const statisticsSchema = z.strictObject({ interval: duration });
