import { z } from 'zod';
import { isLoopback, parseListenAddress } from './address.ts';
import { gatewayBuildkitSchema, openListeners } from './buildkit-schema.ts';
import { databaseSchema } from './database-schema.ts';
import { jobsSchema } from './jobs-schema.ts';
import { workerMonitoringSchema } from './monitoring-schema.ts';
import { duration } from './quantity.ts';

const file = z.string().startsWith('/', 'expected an absolute path').nullable();

/** Where both ends show certificates: any address will do. */
const securedAddress = z.string().superRefine((text, context) => {
  if (!text.includes('://') || !parseListenAddress(text)) {
    context.addIssue(`expected unix:///path or tcp://host:port, got '${text}'`);
  }
});

const addressPools = z.array(
  z.strictObject({
    base: z.cidrv4({ error: 'expected a subnet such as 10.210.0.0/16' }),
    size: z.int().min(8).max(30),
  }),
);
const port = z.int().min(1).max(65_534);

/** The settings below `worker.overlay`. */
export const workerOverlaySchema = z.strictObject({
  address: z.ipv4().nullable(),
  port,
  wireguardPort: port,
});

/** The settings below `pool`: what gateways share. */
export const poolSchema = z.strictObject({
  database: databaseSchema,
  lease: duration,
  certificateLife: duration,
  jobs: jobsSchema,
  overlay: z.strictObject({ addressPools }),
  namespaces: z.cidrv4().nullable(),
});

const hostName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.:-]*$/, 'expected a host name or an address');

/** The settings below `gateway`. */
const gatewayShape = z.strictObject({
  listen: z.array(securedAddress).min(1, 'expected at least one address'),
  tls: z.strictObject({ certificate: file, key: file, names: z.array(hostName) }),
  workers: z.strictObject({ listen: securedAddress.nullable() }),
  placement: z.enum(['spread', 'binpack']),
  drainTimeout: duration,
  monitoring: workerMonitoringSchema,
  buildkit: gatewayBuildkitSchema,
  scale: z.strictObject({
    url: z.url({ protocol: /^https?$/, error: 'expected a URL such as https://scaler/pool' }).nullable(),
    secretFile: file,
    interval: duration,
    minWorkers: z.int().min(0),
    maxWorkers: z.int().min(1),
    perWorker: z.int().min(1),
  }),
  publishPorts: z.boolean(),
});

/** Beyond loopback nobody is heard who has not shown who they are, in TLS. */
export const gatewaySchema = gatewayShape.superRefine(({ listen, tls, buildkit }, context) => {
  if ((tls.certificate === null) !== (tls.key === null)) {
    context.addIssue({ code: 'custom', path: ['tls'], message: 'expected a certificate and its key' });
  }
  if (tls.certificate !== null || tls.names.length > 0) return;
  for (const { at, text } of openListeners(buildkit)) {
    const message = `'${text}': listening beyond loopback is refused without TLS and the identity of clients (gateway.tls, gateway.buildkit.tls)`;
    context.addIssue({ code: 'custom', path: ['buildkit', 'listen', at], message });
  }
  for (const [at, text] of listen.entries()) {
    const parsed = parseListenAddress(text);
    if (!parsed || 'path' in parsed || isLoopback(parsed.host)) continue;
    const message = `'${text}': listening beyond loopback is refused without TLS and the identity of clients (gateway.tls)`;
    context.addIssue({ code: 'custom', path: ['listen', at], message });
  }
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
  drainTimeout: duration,
});
