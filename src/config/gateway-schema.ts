import { z } from 'zod';
import { loopbackOrUnix, parseListenAddress } from './address.ts';
import { databaseSchema } from './database-schema.ts';
import { jobsSchema } from './jobs-schema.ts';
import { duration } from './quantity.ts';

const file = z.string().startsWith('/', 'expected an absolute path').nullable();

/** Where both ends show certificates: any address will do. */
const securedAddress = z.string().superRefine((text, context) => {
  if (!text.includes('://') || !parseListenAddress(text)) {
    context.addIssue(`expected unix:///path or tcp://host:port, got '${text}'`);
  }
});

/** The settings below `pool`: what gateways share. */
export const poolSchema = z.strictObject({
  database: databaseSchema,
  lease: duration,
  certificateLife: duration,
  jobs: jobsSchema,
});

/** The settings below `gateway`. */
export const gatewaySchema = z.strictObject({
  listen: z.array(loopbackOrUnix).min(1, 'expected at least one address'),
  workers: z.strictObject({ listen: securedAddress.nullable() }),
  placement: z.enum(['spread', 'binpack']),
});

/** The settings below `worker.pool`. */
export const membershipSchema = z.strictObject({
  join: z
    .string()
    .refine(
      (text) => /^(?:https:\/\/[^/]+|unix:\/\/\/.+)$/.test(text),
      'expected https://host:port or unix:///path',
    )
    .nullable(),
  token: z.string().nullable(),
  tokenFile: file,
  name: z.string().nullable(),
  listen: securedAddress.nullable(),
  address: securedAddress.nullable(),
  labels: z.array(z.string().regex(/^[^=]+=/, 'expected key=value')),
});
