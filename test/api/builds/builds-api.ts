import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { openWorkerDatabase } from '#database/worker/open.ts';
import { BuildCatalog, type LiveBuild } from '#worker/build/history/build-catalog.ts';
import { BuildHistory } from '#worker/build/history/build-history.ts';
import type { BuildLog } from '#worker/build/history/build-log.ts';
import type { BuildRecord } from '#worker/build/history/build-record.ts';
import { apiRoutes } from '#worker/http/api/api.ts';
import { buildOperations } from '#worker/http/api/build-operations.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';

export const STEP = 'sha256:aaaa';

/** A worker's API of builds, over a history that a test writes. */
export async function startBuildsApi() {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-builds-'));
  const database = await openWorkerDatabase(join(folder, 'worker.db'));
  const history = new BuildHistory({ database }, { directory: join(folder, 'history') });
  await history.reconcile();
  const live = new Map<string, LiveBuild>();
  const catalog = new BuildCatalog({ history, running: (ref) => live.get(ref) });
  const log = pino({ level: 'silent' });
  const router = createEngineRouter();
  apiRoutes(router, buildOperations(catalog), log);
  const server = createEngineServer(router, log);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const call = (path: string, init?: RequestInit) => fetch(`${address}/api/v1${path}`, init);
  return {
    address,
    history,
    call,
    // biome-ignore lint/suspicious/noExplicitAny: what is answered is what tests are about.
    async get(path: string): Promise<{ status: number; body: any }> {
      const response = await call(path);
      return { status: response.status, body: await response.json() };
    },
    /** A build that is over, and what its step has written. */
    async ended(record: Partial<BuildRecord> & { ref: string }, output: readonly string[] = []) {
      const kept = history.openLog(record.ref);
      tellStep(kept, {});
      for (const text of output) await say(kept, text);
      tellStep(kept, { completed: new Date() });
      kept.end();
      const steps = [{ digest: STEP, name: 'RUN x', duration: 5, completed: true, cached: false }];
      const whole = { ...record, steps: record.steps ?? steps };
      await history.ended(recordOf({ completedAt: new Date(), ...whole }), { logBytes: await kept.keep() });
      await kept.close({ keep: true });
    },
    /** One that is under way. */
    async running(ref: string) {
      const kept = history.openLog(ref);
      const record = recordOf({ ref });
      await history.begun(record);
      tellStep(kept, {});
      let canceled = 0;
      live.set(ref, { record, read: (options) => kept.read(options), cancel: () => void canceled++ });
      return {
        say: (text: string) => say(kept, text),
        canceled: () => canceled,
        async end() {
          kept.end();
          live.delete(ref);
          await kept.close({ keep: false });
        },
      };
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await database.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function recordOf(record: Partial<BuildRecord> & { ref: string }): BuildRecord {
  return {
    frontend: 'dockerfile.v0',
    frontendOptions: {},
    exporters: [],
    createdAt: new Date(),
    response: {},
    steps: [],
    warnings: 0,
    ...record,
  };
}

async function say(log: BuildLog, text: string): Promise<void> {
  await log.log({ vertex: STEP, stream: 'stdout', data: Buffer.from(text), timestamp: new Date() });
}

function tellStep(log: BuildLog, { completed }: { completed?: Date }): void {
  log.vertex({ digest: STEP, inputs: [], name: 'RUN x', cached: false, started: new Date(), completed });
}
