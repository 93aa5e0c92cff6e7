import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { openWorkerDatabase } from '#database/worker/open.ts';
import { RetainedDirectories } from '#worker/build/context/retained-directories.ts';
import { runnablePlatforms } from '#worker/build/drivers/exec/emulation.ts';
import { BuildHistory } from '#worker/build/history/build-history.ts';
import { createBuildkit } from '#worker/buildkit/buildkit.ts';
import { ReceiveThreads } from '#worker/buildkit/fsutil/receive-threads.ts';
import { SessionManager } from '#worker/buildkit/session/session-manager.ts';
import { buildkitRoutes } from '#worker/http/buildkit-routes.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import { type SystemServices, systemRoutes } from '#worker/http/system-routes.ts';
import { readHost } from '#worker/system/host.ts';
import { ScriptedBuilds } from './scripted-builds.ts';

/** BuildKit's API on a unix socket, over builds that a test scripts. */
export async function startBuildkitWorker() {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-buildkit-'));
  const log = pino({ level: process.env.TEST_LOG ?? 'silent' });
  const directories = new RetainedDirectories({ root: join(folder, 'contexts') });
  await directories.reconcile();
  const receivers = new ReceiveThreads();
  const sessions = new SessionManager({
    directories,
    receivers,
    limits: { maxBytes: 2 ** 30, maxEntries: 100_000 },
    patienceMs: 0,
  });
  const builds = new ScriptedBuilds(sessions);
  const worker = { id: 'test', hostname: 'test', platforms: runnablePlatforms, slipwayVersion: '0.0.0' };
  const database = await openWorkerDatabase(join(folder, 'worker.db'));
  const history = new BuildHistory({ database }, { directory: join(folder, 'history') });
  await history.reconcile();
  const grpc = createBuildkit({
    builds,
    sessions,
    worker,
    history,
    cache: { contents: [directories], freeBytes: async () => 2 ** 40 },
    keepAliveMs: 0,
    log,
  });
  const socket = join(folder, 'buildkit.sock');
  const server = createServer((connection) => grpc.accept(connection));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const system: SystemServices = {
    id: 'test',
    slipwayVersion: '0.0.0',
    host: await readHost(),
    dataDir: folder,
    components: { runc: '', conmon: '' },
    cgroupVersion: '2',
    seccomp: false,
    registryMirrors: [],
    insecureRegistries: { cidrs: [], names: [] },
    counts: async () => ({ containers: 0, running: 0, paused: 0, stopped: 0, images: 0 }),
  };
  const router = createEngineRouter();
  systemRoutes(router, system);
  buildkitRoutes(router, { grpc, sessions });
  const engine = createEngineServer(router, log);
  const engineSocket = join(folder, 'docker.sock');
  await new Promise<void>((resolve) => engine.listen(engineSocket, resolve));
  return {
    engine: `unix://${engineSocket}`,
    folder,
    builds,
    sessions,
    grpc,
    directories,
    history,
    address: `unix://${socket}`,
    async [Symbol.asyncDispose]() {
      sessions.close();
      grpc.close();
      await new Promise((resolve) => server.close(resolve));
      engine.closeAllConnections();
      await new Promise((resolve) => engine.close(resolve));
      await receivers[Symbol.asyncDispose]();
      await database.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
