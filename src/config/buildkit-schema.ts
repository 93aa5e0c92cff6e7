import { z } from 'zod';
import { isLoopback, parseListenAddress } from './address.ts';
import { duration } from './quantity.ts';

const file = z.string().startsWith('/', 'expected an absolute path').nullable();

const address = z.string().superRefine((text, context) => {
  if (!text.includes('://') || !parseListenAddress(text)) {
    context.addIssue(`expected unix:///path or tcp://host:port, got '${text}'`);
  }
});

const shape = z.strictObject({
  listen: z.array(address),
  tls: z.strictObject({ certificate: file, key: file, clientCa: file }),
  keepAlive: duration,
});

/** The settings below `gateway.buildkit`: who may come in beyond loopback, the gateway's own settings say as well. */
export const gatewayBuildkitSchema = shape.superRefine(({ tls }, context) => {
  if (isPartial(tls)) {
    context.addIssue({ code: 'custom', path: ['tls'], message: 'expected certificate, key and clientCa' });
  }
});

/**
 * The settings below `worker.buildkit`. Whoever can build can run anything here, so beyond loopback clients have to show
 * a certificate.
 */
export const buildkitSchema = gatewayBuildkitSchema.superRefine((given, context) => {
  for (const { at, text } of openListeners(given)) {
    const message = `'${text}': listening beyond loopback is refused without certificates of clients (worker.buildkit.tls)`;
    context.addIssue({ code: 'custom', path: ['listen', at], message });
  }
});

/** Where clients beyond loopback come in without showing a certificate of their own. */
export function openListeners({ listen, tls }: z.infer<typeof shape>): { at: number; text: string }[] {
  if (tls.certificate !== null) return [];
  return listen.flatMap((text, at) => {
    const parsed = parseListenAddress(text);
    return !parsed || 'path' in parsed || isLoopback(parsed.host) ? [] : [{ at, text }];
  });
}

function isPartial(tls: z.infer<typeof shape>['tls']): boolean {
  const given = Object.values(tls).filter((path) => path !== null).length;
  return given > 0 && given < 3;
}
