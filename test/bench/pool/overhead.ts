import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiRoutes } from '#worker/http/api/api.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';
import { openPoolJobs, silent, startIdleAgent } from './pool-of-jobs.ts';

const COUNT = 300;

/** From the request that asks for a job, over HTTP, to its start by an agent that had nothing to do. */
export async function startOverhead(url: string): Promise<void> {
  await using closing = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
  closing.defer(() => rm(folder, { recursive: true, force: true }));
  const open = () => openPoolJobs({ url, dataDir: folder, closing });
  // Two processes, as far as the queue can tell: one that is asked, and one that works.
  const [gateway, worker] = [await open(), await open()];
  let started: (() => void) | undefined;
  await startIdleAgent(worker, { name: 'w', began: () => started?.(), closing });
  const router = createEngineRouter();
  apiRoutes(router, gateway.operations, silent);
  const path = join(folder, 'api.sock');
  const server = createEngineServer(router, silent).listen(path);
  await once(server, 'listening');
  closing.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const taken: number[] = [];
  for (let i = 0; i < COUNT; i++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    started = resolve;
    const began = performance.now();
    await Promise.all([submit(path), promise]);
    taken.push(performance.now() - began);
    // So that it is idle again.
    await new Promise((done) => setTimeout(done, 20));
  }
  taken.sort((one, other) => one - other);
  const at = (share: number) => `${taken[Math.floor(COUNT * share)]!.toFixed(1)} ms`;
  process.stdout.write(
    `slipway            from request to start      p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}\n`,
  );
}

async function submit(socketPath: string): Promise<void> {
  const body = JSON.stringify({ kind: 'run', run: { image: 'busybox' } });
  const sent = request({ socketPath, path: '/api/v1/jobs', method: 'POST', agent: false });
  sent.end(body);
  const [answer] = await once(sent, 'response');
  if (answer.statusCode !== 201) throw new Error(`HTTP ${answer.statusCode}`);
  answer.resume();
}
