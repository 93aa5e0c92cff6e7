import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import type { ContentStore } from '#content/content-store.ts';
import type { S3Settings } from '#content/s3-settings.ts';
import {
  migrateRegistryDatabase,
  openRegistryDatabase,
  type RegistryDatabase,
  type RegistryDatabaseOptions,
} from '#database/registry/open.ts';
import { NO_METRICS } from '#observability/metrics.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { createHousekeeping } from '#registry/housekeeping.ts';
import { createRegistry } from '#registry/registry.ts';
import { freePorts } from '#test/e2e/harness/free-port.ts';
import { audit } from './audit.ts';
import { Client } from './client.ts';
import { Pusher } from './pusher.ts';
import { Registries } from './registries.ts';
import { openSoakContent } from './soak-content.ts';

export interface SoakOptions {
  readonly seconds: number;
  readonly processes: number;
  readonly pushers: number;
  /** Undefined for SQLite in a folder of the test's own. */
  readonly postgres?: string | undefined;
  /** Undefined for a folder of the test's own. */
  readonly s3?: S3Settings | undefined;
}

export interface SoakResult {
  readonly kills: number;
  /** How often each thing was done. */
  readonly counts: Readonly<Record<string, number>>;
  readonly collected: Readonly<Record<string, number>>;
  readonly blobsAtEnd: number;
  readonly problems: readonly string[];
}

/**
 * Pushes, pulls, moves and deletes over shared layers while the collector runs without any delay and processes are
 * killed with -9; then compares what is there with what has to be.
 */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-soak-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const blobs = join(folder, 'blobs');
  await mkdir(blobs);
  const database = databaseOptions(folder, options.postgres);
  await migrateRegistryDatabase(database);
  const db = await openRegistryDatabase(database);
  stack.defer(() => db.destroy());
  const place = options.s3 ? { s3: options.s3 } : { folder: blobs };
  const content = openSoakContent(place);
  const { retentionRules } = createHousekeeping({
    db,
    content,
    logger: pino({ level: 'silent' }),
    metrics: NO_METRICS,
  });
  await retentionRules.add(
    {
      repositories: '**',
      subject: 'untagged',
      tags: '*',
      keepNewest: 0,
      keepPushedWithin: undefined,
      keepPulledWithin: undefined,
    },
    SYSTEM,
  );

  const ports = await freePorts(options.processes);
  const registries = stack.use(
    await Registries.start(ports.map((port) => ({ database, content: place, port }))),
  );
  const client = new Client(registries);
  stack.defer(() => client.close());
  const pushers = Array.from({ length: options.pushers }, (_, index) => new Pusher(client, `p${index}`));
  await work(registries, pushers, options.seconds);
  const problems = await checkTags(client, pushers);
  await settle(db);
  await registries.stop();
  await reconcile(db, content);
  problems.push(...(await audit(db, content)));
  problems.push(...registries.complaints.map((text) => `the log says ${text.slice(0, 1500)}`));
  const {
    manifests,
    links,
    blobs: blobsCollected,
    bytes,
  } = await db.selectFrom('gc_totals').selectAll().executeTakeFirstOrThrow();
  return {
    kills: registries.kills,
    counts: total(pushers),
    collected: { manifests, links, blobs: blobsCollected, bytes },
    blobsAtEnd: (await db.selectFrom('blobs').select('digest').execute()).length,
    problems,
  };
}

function databaseOptions(folder: string, url: string | undefined): RegistryDatabaseOptions {
  if (url === undefined) return { driver: 'sqlite', file: join(folder, 'registry.db') };
  return {
    driver: 'postgres',
    url,
    applicationName: 'slipway soak',
    maxConnections: 8,
    connectTimeout: 5_000,
    statementTimeout: 20_000,
  };
}

async function work(registries: Registries, pushers: readonly Pusher[], seconds: number): Promise<void> {
  const over = new AbortController();
  const stop = setTimeout(() => over.abort(), seconds * 1000);
  const killing = (async () => {
    while (!over.signal.aborted) {
      await sleep(500 + Math.random() * 2_500);
      await registries.kill();
    }
  })();
  try {
    await Promise.all(pushers.map((pusher) => pusher.run(over.signal)));
  } finally {
    clearTimeout(stop);
    over.abort();
    await killing;
  }
}

/** What was acknowledged is there, whole. */
async function checkTags(client: Client, pushers: readonly Pusher[]): Promise<string[]> {
  const problems: string[] = [];
  for (const [key, digest] of pushers.flatMap(({ expected }) => [...expected])) {
    const [repository, tag] = key.split(':') as [string, string];
    const actual = await client.pull(repository, tag).catch((error: Error) => error.message);
    if (actual !== digest) problems.push(`${key} is ${actual}, expected ${digest}`);
  }
  return problems;
}

/** Waits until the collector has nothing to do. What waits for longer than a test can is brought forward. */
async function settle(db: RegistryDatabase): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    await db.updateTable('gc_locations').set({ delete_after: 0 }).where('attempts', '=', 0).execute();
    const left = await Promise.all(
      (['gc_manifest_queue', 'gc_link_queue', 'gc_blob_queue'] as const).map((queue) =>
        db.selectFrom(queue).select('digest').limit(1).execute(),
      ),
    );
    const locations = await db
      .selectFrom('gc_locations')
      .select('location')
      .where('attempts', '=', 0)
      .limit(1)
      .execute();
    if (left.flat().length === 0 && locations.length === 0) return;
    await sleep(100);
  }
  throw new Error('the collector did not come to an end');
}

/** What a day later would do: takes up what killed processes left behind. */
async function reconcile(db: RegistryDatabase, content: ContentStore): Promise<void> {
  const { reconciler, uploads } = createRegistry({ db, content });
  const { collector } = createHousekeeping({
    db,
    content,
    logger: pino({ level: 'silent' }),
    metrics: NO_METRICS,
  });
  // The processes that held them are no more, and their holds run out.
  await uploads.releaseAll();
  const now = new Date(Date.now() + 60_000);
  await reconciler.expireUploads({ idleSince: now, strayBefore: now });
  await reconciler.deleteStrayContent({ before: now });
  await db.updateTable('gc_locations').set({ delete_after: 0 }).execute();
  await collector.run({ contentDelay: 0 });
}

function total(pushers: readonly Pusher[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { counts } of pushers) {
    for (const [what, count] of Object.entries(counts)) sum[what] = (sum[what] ?? 0) + count;
  }
  return sum;
}
