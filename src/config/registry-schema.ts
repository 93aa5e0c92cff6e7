import { z } from 'zod';
import { hostPort } from './address.ts';
import { authSchema } from './auth-schema.ts';
import { databaseSchema } from './database-schema.ts';
import {
  mirroringSchema,
  mirrorsSchema,
  replicationSchema,
  statisticsSchema,
  webhooksSchema,
} from './federation-schema.ts';
import { gcSchema, retentionSchema } from './gc-schema.ts';
import { rateLimitsSchema } from './limits-schema.ts';
import { monitoringSchema } from './monitoring-schema.ts';
import { duration, size } from './quantity.ts';
import { storageSchema } from './storage-schema.ts';
import { listenRefusal, tlsSchema, trustedProxiesSchema } from './tls-schema.ts';

/** The settings below `registry`. */
export const registrySchema = z
  .strictObject({
    listen: hostPort,
    publicUrl: z.url({ protocol: /^https?$/ }).nullable(),
    tls: tlsSchema,
    trustedProxies: trustedProxiesSchema,
    user: z.string(),
    drainDelay: duration,
    monitoring: monitoringSchema,
    auth: authSchema,
    database: databaseSchema,
    storage: storageSchema,
    api: z.strictObject({ deletes: z.boolean(), sparseImages: z.boolean() }),
    limits: z.strictObject({ manifestSize: size, uploadExpiry: duration }),
    gc: gcSchema,
    retention: retentionSchema,
    rateLimits: rateLimitsSchema,
    audit: z.strictObject({ keep: duration }),
    webhooks: webhooksSchema,
    mirrors: mirrorsSchema,
    mirroring: mirroringSchema,
    replication: replicationSchema,
    statistics: statisticsSchema,
  })
  .superRefine((registry, context) => {
    const message = listenRefusal(registry);
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['listen'], message });
  });
