import { z } from 'zod';
import { duration, size } from './quantity.ts';

const MIB = 2 ** 20;
/** What S3 takes as a part, except as the last one. */
const partSize = size.refine((bytes) => bytes >= 5 * MIB && bytes <= 1024 * MIB, 'expected 5MiB to 1GiB');
const httpUrl = z.url({ protocol: /^https?$/, error: 'expected a URL such as https://s3.example.com' });
const count = z.int().min(1).max(1000);

/** A subnet, or a single address. */
const network = z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()], {
  error: 'expected a subnet such as 10.0.0.0/8',
});

const s3Schema = z.strictObject({
  bucket: z.string(),
  prefix: z
    .string()
    .regex(/^([a-zA-Z0-9._-]+(\/[a-zA-Z0-9._-]+)*)?$/, 'expected a path such as registry/blobs'),
  region: z.string().min(1),
  endpoint: httpUrl.nullable(),
  pathStyle: z.boolean(),
  accessKeyId: z.string().nullable(),
  secretAccessKeyFile: z.string().nullable(),
  encryption: z.enum(['none', 'AES256', 'aws:kms', 'aws:kms:dsse']),
  kmsKeyId: z.string().nullable(),
  signPayload: z.boolean().nullable(),
  redirect: z.strictObject({
    mode: z.enum(['never', 'always', 'only', 'except']),
    networks: z.array(network),
    endpoint: httpUrl.nullable(),
    expiry: duration.refine((ms) => ms >= 1000 && ms <= 7 * 86_400_000, 'expected 1s to 7d'),
  }),
  partSize,
  maxParts: count,
  maxConnections: count,
  attempts: count,
  connectTimeout: duration,
  idleTimeout: duration,
});

/** The settings below `registry.storage`. */
export const storageSchema = z
  .strictObject({
    driver: z.enum(['filesystem', 's3']),
    filesystem: z.strictObject({
      directory: z.string().startsWith('/', 'expected an absolute path').nullable(),
    }),
    s3: s3Schema,
  })
  .superRefine(({ driver, s3 }, context) => {
    const wrong = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['s3', path], message });
    if (driver !== 's3') return;
    if (s3.bucket === '') wrong('bucket', 'expected the name of a bucket');
    if ((s3.accessKeyId === null) !== (s3.secretAccessKeyFile === null))
      wrong('secretAccessKeyFile', 'expected both accessKeyId and secretAccessKeyFile, or neither');
  });
