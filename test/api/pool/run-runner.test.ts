import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { ArtifactPusher } from '#pool/agent/artifact-pusher.ts';
import { EngineApi } from '#pool/agent/engine-api.ts';
import { RunRunner } from '#pool/agent/run-runner.ts';

/** An engine that makes containers, slowly, and has no others. */
async function startEngine() {
  const asked: string[] = [];
  const creating = Promise.withResolvers<void>();
  const create = Promise.withResolvers<void>();
  const server = createServer(async (req, res) => {
    const path = req.url!.split('?')[0]!;
    req.resume();
    asked.push(`${req.method} ${path}`);
    if (path === '/containers/create') {
      creating.resolve();
      await create.promise;
      res.writeHead(201).end('{"Id":"made"}');
    } else res.writeHead(req.method === 'DELETE' ? 204 : 200).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    asked,
    /** Resolves when a container is asked for. */
    creating: creating.promise,
    create: () => create.resolve(),
    api: new EngineApi({ host: '127.0.0.1', port }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

it('removes the container of a job that is taken away while its container is made', async () => {
  await using engine = await startEngine();
  const artifacts = new ArtifactPusher(
    { registries: undefined as never, credentials: async () => undefined },
    { directory: '/nowhere', maxBytes: 0 },
  );
  const runner = new RunRunner({ engine: engine.api, artifacts, registryAuth: async () => undefined });
  const lost = new AbortController();
  const spec = { image: 'busybox', env: {}, limits: {}, network: 'none', artifacts: [] };
  const running = runner.run({
    job: { id: 'j', attempt: 1, kind: 'run', tenant: 'a', spec, timeout: 1_000, confined: false } as never,
    log: async () => {},
    signal: lost.signal,
    openContext: async () => {
      throw new Error('nothing was sent');
    },
  });
  const ended = expect(running).rejects.toThrow();
  await engine.creating;
  lost.abort();
  engine.create();
  await ended;
  expect(engine.asked.at(-1)).toBe('DELETE /containers/made');
  expect(engine.asked).not.toContain('POST /containers/made/start');
});
