import { z } from 'zod';
import { parseListenAddress } from './address.ts';
import { duration } from './quantity.ts';

const hostPort = z.string().superRefine((text, context) => {
  const address = text.includes('://') ? undefined : parseListenAddress(text);
  if (!address || 'path' in address) context.addIssue(`expected host:port, got '${text}'`);
});

/** How a role is watched: the settings below `registry.monitoring`. */
export const monitoringSchema = z.strictObject({
  listen: hostPort.nullable(),
  tokenFile: z.string().startsWith('/', 'expected an absolute path').nullable(),
  checkTimeout: duration,
  accessLog: z.enum(['off', 'trace', 'debug', 'info']),
});

/** `worker.monitoring`: that is on a listener of its own, or not at all. */
export const workerMonitoringSchema = monitoringSchema.omit({ accessLog: true });

/** Where traces go. */
export const tracingSchema = z.strictObject({
  endpoint: z
    .url({ protocol: /^https?$/, error: 'expected a URL such as http://127.0.0.1:4318/v1/traces' })
    .nullable(),
  ratio: z.number().min(0).max(1),
});
