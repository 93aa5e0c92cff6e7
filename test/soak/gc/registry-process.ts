/**
 * A registry to be killed: `node registry-process.ts OPTIONS`, with ProcessOptions as JSON. Says `ready` when it serves.
 * It collects garbage without any delay.
 */
import { pino } from 'pino';
import { OpenAuthenticator } from '#auth/open-authenticator.ts';
import { startBackground } from '#cli/registry/background.ts';
import { Leases } from '#database/registry/leases.ts';
import { openRegistryDatabase, type RegistryDatabaseOptions } from '#database/registry/open.ts';
import { NO_METRICS } from '#observability/metrics.ts';
import { createHousekeeping } from '#registry/housekeeping.ts';
import { createRegistryApp } from '#registry/http/registry-app.ts';
import { createRegistryServer } from '#registry/http/registry-server.ts';
import { createRegistry } from '#registry/registry.ts';
import { openSoakContent, type SoakContent } from './soak-content.ts';

export interface ProcessOptions {
  readonly database: RegistryDatabaseOptions;
  readonly content: SoakContent;
  readonly port: number;
}

const options = JSON.parse(process.argv[2]!) as ProcessOptions;
const logger = pino({ level: 'warn' }, pino.destination(2));
const db = await openRegistryDatabase(options.database);
const content = openSoakContent(options.content);
const registry = createRegistry({ db, content });
const housekeeping = createHousekeeping({ db, content, logger, metrics: NO_METRICS });
await startBackground(
  {
    housekeeping,
    reconciler: registry.reconciler,
    leases: new Leases({ db }),
    audit: registry.audit,
    logger,
    alone: false,
  },
  {
    gc: { enabled: true, interval: 200, delay: 0, contentDelay: 0 },
    retention: { interval: 1_000 },
    limits: { manifestSize: 4 << 20, uploadExpiry: 3_600_000 },
    audit: { keep: 3_600_000 },
  },
);
const app = createRegistryApp(registry, {
  logger,
  authenticator: new OpenAuthenticator(),
  maxManifestSize: 4 << 20,
});
createRegistryServer(app).listen(options.port, '127.0.0.1', () => process.stdout.write('ready\n'));
