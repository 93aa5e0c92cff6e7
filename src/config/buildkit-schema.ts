import { z } from 'zod';
import { isLoopback, parseListenAddress } from './address.ts';
import { duration } from './quantity.ts';

const file = z.string().startsWith('/', 'expected an absolute path').nullable();

const address = z.string().superRefine((text, context) => {
  if (!text.includes('://') || !parseListenAddress(text)) {
    context.addIssue(`expected unix:///path or tcp://host:port, got '${text}'`);
  }
});

/**
 * The settings below `worker.buildkit`. Whoever can build can run anything here, so beyond loopback clients have to show
 * a certificate.
 */
export const buildkitSchema = z
  .strictObject({
    listen: z.array(address),
    tls: z.strictObject({ certificate: file, key: file, clientCa: file }),
    keepAlive: duration,
  })
  .superRefine(({ listen, tls }, context) => {
    const given = Object.values(tls).filter((path) => path !== null).length;
    if (given > 0 && given < 3) {
      context.addIssue({ code: 'custom', path: ['tls'], message: 'expected certificate, key and clientCa' });
    }
    for (const [at, text] of listen.entries()) {
      const parsed = parseListenAddress(text);
      if (given === 3 || !parsed || 'path' in parsed || isLoopback(parsed.host)) continue;
      const message = `'${text}': listening beyond loopback is refused without certificates of clients (worker.buildkit.tls)`;
      context.addIssue({ code: 'custom', path: ['listen', at], message });
    }
  });
