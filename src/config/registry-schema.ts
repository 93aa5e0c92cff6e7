import { z } from 'zod';
import { loopbackHostPort } from './address.ts';
import { duration, size } from './quantity.ts';

/** The settings below `registry`. */
export const registrySchema = z.strictObject({
  listen: loopbackHostPort,
  user: z.string(),
  limits: z.strictObject({ manifestSize: size, uploadExpiry: duration }),
});
