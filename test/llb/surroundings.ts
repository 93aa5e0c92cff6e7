import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GitServer } from '../contracts/build/git-server.ts';
import { source } from './graph.ts';
import type { Surroundings } from './llb-case.ts';

const DATE = 'Mon, 06 May 2024 07:08:09 GMT';

/** Servers on loopback that graphs name, beside a registry that has busybox. */
export async function openSurroundings(registry: string): Promise<Surroundings & AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-llb-'));
  const web = createServer((request, response) => {
    if (request.url === '/missing') {
      response.writeHead(404).end();
      return;
    }
    if (request.url === '/named')
      response.setHeader('content-disposition', 'attachment; filename="given.txt"');
    response.writeHead(200, { 'last-modified': DATE, etag: '"1"' });
    response.end(request.method === 'HEAD' ? '' : 'text\n');
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  const git = await GitServer.open(join(folder, 'git'));
  await git.create('repo.git');
  const commit = await git.commit('repo.git', { a: 'one', 'sub/b': 'b' });
  await git.git('repo.git', 'tag', 'v1');
  await git.commit('repo.git', { a: 'two', c: 'c' });
  return {
    busybox: source(`docker-image://${registry}/library/busybox:latest`),
    registry,
    web: `http://127.0.0.1:${(web.address() as AddressInfo).port}`,
    git: git.url('repo.git'),
    commit,
    async [Symbol.asyncDispose]() {
      await git[Symbol.asyncDispose]();
      web.closeAllConnections();
      await new Promise((resolve) => web.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
