import { z } from 'zod';
import { loopbackOrUnix } from './address.ts';
import { buildSchema, refusedNetworks } from './build-schema.ts';
import { buildkitSchema } from './buildkit-schema.ts';
import { gatewaySchema, membershipSchema, poolSchema, workerOverlaySchema } from './gateway-schema.ts';
import { tracingSchema, workerMonitoringSchema } from './monitoring-schema.ts';
import { duration } from './quantity.ts';
import { registrySchema } from './registry-schema.ts';

const absolutePath = z.string().startsWith('/', 'expected an absolute path');
const concurrency = z.int().min(1).max(64);
const subnet = z.union([z.cidrv4(), z.cidrv6()], { error: 'expected a subnet such as 10.210.0.0/16' });
const registryUrl = z.url({ protocol: /^https?$/, error: 'expected a URL such as http://127.0.0.1:5000' });

/**
 * Every setting. There are no defaults here: `config/default.yaml` has them all, with what they mean, and a null
 * there is filled in by `load.ts`.
 */
export const configSchema = z.strictObject({
  dataDir: absolutePath.nullable(),
  runDir: absolutePath.nullable(),
  log: z.strictObject({
    level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    format: z.enum(['text', 'json']),
  }),
  stopTimeout: duration,
  tracing: tracingSchema,
  registry: registrySchema,
  pool: poolSchema,
  gateway: gatewaySchema,
  worker: z.strictObject({
    pool: membershipSchema,
    listen: z.array(loopbackOrUnix).min(1, 'expected at least one address'),
    socketGroup: z.string(),
    registryMirrors: z.array(registryUrl).nullable(),
    insecureRegistries: z.array(z.string().min(1)),
    maxConcurrentDownloads: concurrency,
    maxConcurrentUploads: concurrency,
    gzip: z.enum(['auto', 'libdeflate', 'zlib']),
    monitoring: workerMonitoringSchema,
    build: buildSchema,
    tenants: z.strictObject({
      subnet: z.cidrv4({ error: 'expected an IPv4 subnet such as 10.224.0.0/11' }),
      refusedNetworks,
    }),
    buildkit: buildkitSchema,
    overlay: workerOverlaySchema,
    network: z.strictObject({
      defaultBridge: z.strictObject({
        name: z
          .string()
          .regex(/^[a-z][a-z0-9_.-]{0,14}$/, 'expected an interface name of at most 15 characters'),
        subnet,
      }),
      addressPools: z.array(z.strictObject({ base: subnet, size: z.int().min(8).max(126) })),
    }),
  }),
});

type Parsed = z.infer<typeof configSchema>;

/** The settings as every role reads them: complete, checked, sizes in bytes and durations in milliseconds. */
export type Config = Readonly<
  Omit<Parsed, 'dataDir' | 'runDir' | 'worker'> & {
    dataDir: string;
    runDir: string;
    worker: Omit<Parsed['worker'], 'registryMirrors'> & { registryMirrors: string[] };
  }
>;
