import { z } from 'zod';
import { duration } from './quantity.ts';

/** `registry.gc` */
export const gcSchema = z.strictObject({
  enabled: z.boolean(),
  interval: duration,
  delay: duration,
  contentDelay: duration,
});

/** `registry.retention` */
export const retentionSchema = z.strictObject({ interval: duration });
