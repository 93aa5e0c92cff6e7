import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ContentStore } from '#content/content-store.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { JobChangesRepository } from '#pool/jobs/changes-repository.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import type { Claim, Claimant } from '#pool/jobs/job.ts';
import { JobLogRepository } from '#pool/jobs/job-log-repository.ts';
import { JobLogs } from '#pool/jobs/job-logs.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';
import { s3Content } from '../../s3/shared-s3.ts';
import { newJob, OFFER } from './fixtures.ts';

const LARGE = 200_000;

interface Storage extends AsyncDisposable {
  readonly content: ContentStore;
}

const STORAGES: Record<string, () => Promise<Storage>> = {
  filesystem: async () => {
    const root = await mkdtemp(join(tmpdir(), 'slipway-logs-'));
    return {
      content: new FilesystemContentStore(root),
      [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
    };
  },
  // SeaweedFS.
  s3: async () => {
    const content = await s3Content();
    return { content, [Symbol.asyncDispose]: () => content[Symbol.asyncDispose]() };
  },
};

/** A job that a worker is at, and what it writes. */
class World {
  readonly claims: ClaimsRepository;
  readonly changes: JobChangesRepository;
  readonly logs: JobLogs;
  readonly content: ContentStore;
  readonly worker: Claimant;
  readonly claim: Claim;
  readonly #db: PoolDatabase;
  #end = 0;

  private constructor(db: PoolDatabase, content: ContentStore, held: { worker: Claimant; claim: Claim }) {
    this.#db = db;
    this.claims = new ClaimsRepository(db);
    this.changes = new JobChangesRepository(db);
    this.logs = new JobLogs({ rows: new JobLogRepository(db), content });
    this.content = content;
    this.worker = held.worker;
    this.claim = held.claim;
  }

  static async open(db: PoolDatabase, content: ContentStore): Promise<World> {
    await new TenantsRepository(db).ensure('a');
    const worker = await new WorkerLeasesRepository(db).acquire(
      { name: 'w', address: 'unix:///w', offer: OFFER },
      600_000,
    );
    await new JobsRepository(db).enqueue(newJob());
    const [claim] = await new ClaimsRepository(db).claim(worker, [''], 1);
    return new World(db, content, { worker, claim: claim! });
  }

  /** What comes next in the log. */
  async write(bytes: Uint8Array): Promise<void> {
    expect(await this.logs.append(this.claim, this.worker, this.#end, bytes)).toBe(true);
    this.#end += bytes.length;
  }

  async end(): Promise<void> {
    await this.claims.end(this.claim, this.worker, { state: 'succeeded', result: null });
    await this.logs.settle(this.claim.id);
  }

  async read(from = 0): Promise<Buffer> {
    return Buffer.concat(await Array.fromAsync(this.logs.read(this.claim.id, from)));
  }

  async objects(): Promise<number[]> {
    const found = await Array.fromAsync(this.content.walk('logs'));
    return found.map(({ size }) => size).toSorted((a, b) => a - b);
  }

  /** Bytes of logs that the database still has. */
  async kept(): Promise<number> {
    const rows = await this.#db.selectFrom('job_log_chunks').select('data').execute();
    return rows.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
  }
}

/** Without a newline, and telling where each byte belongs. */
function endless(size: number): Buffer {
  return Buffer.from(Array.from({ length: size / 8 }, (_, i) => `${i}`.padStart(8, '.')).join(''));
}

onEachPoolDatabase('logs of jobs', (create) => {
  for (const [name, open] of Object.entries(STORAGES)) {
    it(`are objects on ${name} once a job is over, and read as they were written`, async () => {
      await using database = await create();
      await using storage = await open();
      const world = await World.open(database.db, storage.content);
      const pieces = [Buffer.from('begun\n'), endless(LARGE), Buffer.from('small\n'), endless(1024 * 1024)];
      for (const piece of pieces) await world.write(piece);
      const whole = Buffer.concat(pieces);
      expect((await world.read()).equals(whole)).toBe(true);
      expect(await world.kept()).toBe(12);
      await world.end();
      expect(await world.kept()).toBe(0);
      expect(await world.objects()).toEqual([6, 6, LARGE, 1024 * 1024]);
      expect((await world.read()).equals(whole)).toBe(true);
      for (const from of [3, 6, LARGE, whole.length - 1, whole.length])
        expect((await world.read(from)).equals(whole.subarray(from))).toBe(true);
    });

    it(`keep what is sent to ${name} twice, as after an answer that was lost, once`, async () => {
      await using database = await create();
      await using storage = await open();
      const world = await World.open(database.db, storage.content);
      const piece = endless(LARGE);
      await world.write(piece);
      expect(await world.logs.append(world.claim, world.worker, 0, piece)).toBe(false);
      expect((await world.read()).equals(piece)).toBe(true);
      expect(await world.objects()).toEqual([LARGE]);
    });

    it(`take nothing from a worker that has the job no more, and leave nothing of it on ${name}`, async () => {
      await using database = await create();
      await using storage = await open();
      const world = await World.open(database.db, storage.content);
      await world.write(endless(LARGE));
      const late = { ...world.worker, epoch: world.worker.epoch - 1 };
      for (const size of [8, LARGE])
        expect(await world.logs.append(world.claim, late, LARGE, endless(size))).toBe(false);
      expect(await world.objects()).toEqual([LARGE]);
      expect(await world.read()).toHaveLength(LARGE);
    });

    it(`go from ${name} with their job, and with them what was stored and never told`, async () => {
      await using database = await create();
      await using storage = await open();
      const world = await World.open(database.db, storage.content);
      await world.write(Buffer.from('all there is'));
      await using writer = await storage.content.writer(`logs/${world.claim.id}/1/99-of-a-killed-process`);
      await writer.write(endless(8));
      await writer.commit();
      await world.end();
      expect(await world.objects()).toEqual([8, 12]);
      await world.logs.forget(await world.changes.remove(world.claim.id));
      expect(await world.objects()).toEqual([]);
    });
  }
});
