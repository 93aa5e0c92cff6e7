import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { OpenAuthenticator } from '#auth/open-authenticator.ts';
import type { ContentStore } from '#content/content-store.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { openRegistryDatabase, type RegistryDatabase } from '#database/registry/open.ts';
import { type Metrics, NO_METRICS } from '#observability/metrics.ts';
import type { DenialLog } from '#registry/events/denial-log.ts';
import { createFederation, type Federation } from '#registry/federation.ts';
import { createHousekeeping, type Housekeeping } from '#registry/housekeeping.ts';
import { createRegistryApp, type RegistryAppOptions } from '#registry/http/registry-app.ts';
import { closeServer, createRegistryServer } from '#registry/http/registry-server.ts';
import { createRegistry, type Registry } from '#registry/registry.ts';
import { databaseOfFile } from '../database/file-postgres.ts';
import { s3Content } from '../s3/shared-s3.ts';
import { DistributionClient } from './distribution-client.ts';
import { type TestFederationOptions, testFederation } from './test-federation.ts';

export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly address: string;
  readonly client: DistributionClient;
  readonly registry: Registry;
  readonly federation: Federation;
  readonly housekeeping: Housekeeping;
  readonly db: RegistryDatabase;
  readonly content: ContentStore;
  /** Where the content is. */
  readonly blobs: string;
}

/**
 * The whole registry in this process, on a folder and port of its own. Content is in the folder, or, in Vitest's
 * project `s3` (TEST_STORAGE), in the S3 server of the run. Metadata is in SQLite, or, in the project `postgres`
 * (TEST_DATABASE), in a PostgreSQL of the test file.
 */
export async function startTestRegistry(
  options: {
    /** Instead of one of its own. */
    content?: ContentStore;
    redirects?: RegistryAppOptions['redirects'];
    maxManifestSize?: number;
    deletes?: boolean;
    rateLimits?: RegistryAppOptions['rateLimits'];
    /** Where denied requests are written down. */
    denials?: (db: RegistryDatabase) => DenialLog;
    trustedProxies?: RegistryAppOptions['trustedProxies'];
    sparseImages?: boolean;
    timeouts?: { headers: number; idle: number };
    federation?: TestFederationOptions;
    /** Where its figures go. */
    metrics?: Metrics;
    /** Who may do what; without it everyone everything. */
    auth?: (
      db: RegistryDatabase,
    ) => Pick<RegistryAppOptions, 'authenticator' | 'tokens' | 'logins' | 'accounts'>;
  } = {},
): Promise<TestRegistry> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-registry-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const db = await openRegistryDatabase((await databaseOfFile()) ?? join(folder, 'registry.db'));
  started.defer(() => db.destroy());
  const blobs = join(folder, 'blobs');
  const s3 =
    options.content || process.env.TEST_STORAGE !== 's3' ? undefined : started.use(await s3Content());
  const content = options.content ?? s3 ?? new FilesystemContentStore(blobs);
  const registry = createRegistry({ db, content }, options);
  const logger = pino({ level: 'silent' });
  const federation = createFederation(
    { db, registry, logger, metrics: options.metrics ?? NO_METRICS },
    testFederation(options.federation),
  );
  started.defer(async () => federation.mirror?.stop());
  const housekeeping = createHousekeeping({ db, content, logger, metrics: NO_METRICS });
  const denials = options.denials?.(db);
  if (denials) started.use(denials);
  const app = createRegistryApp(registry, {
    logger,
    housekeeping,
    federation,
    redirects: options.redirects,
    ...(options.auth?.(db) ?? { authenticator: new OpenAuthenticator() }),
    maxManifestSize: options.maxManifestSize ?? 4 * 1024 * 1024,
    deletes: options.deletes ?? true,
    rateLimits: options.rateLimits,
    denials,
    ...(options.trustedProxies && { trustedProxies: options.trustedProxies }),
  });
  const server = createRegistryServer(app, { timeouts: options.timeouts });
  started.defer(() => closeServer(server, 0));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new DistributionClient(address);
  started.defer(async () => client.close());
  const running = started.move();
  return {
    address,
    client,
    registry,
    federation,
    housekeeping,
    db,
    content,
    blobs,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
