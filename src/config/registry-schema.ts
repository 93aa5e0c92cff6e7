import { z } from 'zod';
import { loopbackHostPort } from './address.ts';
import { monitoringSchema } from './monitoring-schema.ts';
import { duration, size } from './quantity.ts';

/** The settings below `registry`. */
export const registrySchema = z.strictObject({
  listen: loopbackHostPort,
  user: z.string(),
  drainDelay: duration,
  monitoring: monitoringSchema,
  limits: z.strictObject({ manifestSize: size, uploadExpiry: duration }),
});
