import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DriversWorld, SOURCE } from './drivers-world.ts';
import { GitServer } from './git-server.ts';

const run = promisify(execFile);
let folder: DriversWorld;
let server: GitServer;
beforeAll(async () => {
  folder = await DriversWorld.open();
  server = await GitServer.open(await folder.folder('repositories'));
  await server.create('module');
  await server.commit('module', { 'm.txt': 'module' });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Names of what a repository has; a world of its own makes nothing of another's mirrors be found. */
async function names(world: DriversWorld, url: string): Promise<string[]> {
  try {
    const [ref] = await world.run(SOURCE('git://localhost/x', { 'git.fullurl': url }));
    return await world.see(ref!, (root) => readdir(root));
  } finally {
    await world.end();
  }
}

/** The same server by another name: everything below 127/8 is this machine. */
const elsewhere = (url: string) => url.replace('127.0.0.1', '127.0.0.2');

describe('a repository where builds may not go everywhere', () => {
  const refusing = () => DriversWorld.open({ drivers: { refusedNetworks: ['127.0.0.2/32', '::1/128'] } });

  it('is reached where it may be, with its submodules', async () => {
    await server.create('open');
    await server.commit('open', { a: 'a' });
    await server.git('open', 'submodule', '--quiet', 'add', server.url('module'), 'mod');
    await server.commit('open', { b: 'b' });
    await using world = await refusing();
    expect(await names(world, server.url('open'))).toEqual(['.gitmodules', 'a', 'b', 'mod']);
  });

  it('leads nowhere else by its submodules', async () => {
    await server.create('sly');
    const module = await server.git('module', 'rev-parse', 'HEAD');
    const urls = [elsewhere(server.url('module')), 'ssh://127.0.0.2/module', 'git://127.0.0.2/module'];
    for (const url of urls) {
      const text = `[submodule "x"]\n\tpath = x\n\turl = ${url}\n`;
      await server.git('sly', 'update-index', '--add', '--cacheinfo', `160000,${module},x`);
      await server.commit('sly', { '.gitmodules': text });
      await server.git('sly', 'update-index', '--add', '--cacheinfo', `160000,${module},x`);
      await server.git('sly', 'commit', '--quiet', '--amend', '--no-edit');
      server.requests.length = 0;
      await using world = await refusing();
      await expect(names(world, server.url('sly')), url).rejects.toMatchObject({ kind: 'forbidden' });
      expect(server.requests.filter((request) => request.includes('/module'))).toEqual([]);
    }
  });

  it('leads nowhere else by a redirect', async () => {
    const redirecting = createServer((request, response) => {
      const [, to, rest = ''] = /^\/(away|back)(.*)$/.exec(request.url!)!;
      const there = server.url('module');
      response.writeHead(302, { location: `${to === 'away' ? elsewhere(there) : there}${rest}` }).end();
    });
    await new Promise<void>((resolve) => redirecting.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(redirecting.address() as AddressInfo).port}`;
    try {
      await using world = await refusing();
      await expect(names(world, `${url}/away`)).rejects.toMatchObject({ kind: 'forbidden' });
      expect(await names(world, `${url}/back`)).toEqual(['m.txt']);
    } finally {
      redirecting.closeAllConnections();
      redirecting.close();
    }
  });
});

describe('a repository that is too large', () => {
  it('is refused before its files are written, where few bytes name many of them', async () => {
    await server.create('bomb');
    await server.commit('bomb', { f: 'x'.repeat(1000) });
    // Ten times the same tree in each, six deep: a million files of a kilobyte.
    const script = [
      'tree=$(git rev-parse HEAD^{tree})',
      'for depth in 1 2 3 4 5 6; do',
      '  tree=$(for at in 0 1 2 3 4 5 6 7 8 9; do printf "040000 tree $tree\\t$at\\n"; done | git mktree)',
      'done',
      'git update-ref refs/heads/bomb $(git -c user.name=x -c user.email=x@x commit-tree -m bomb $tree)',
    ];
    await run('sh', ['-ec', script.join('\n')], { cwd: join(server.root, 'bomb') });
    for (const drivers of [{ maxUnpackedEntries: 10_000 }, { maxDownloadBytes: 5_000_000 }]) {
      await using world = await DriversWorld.open({ drivers });
      const [source, attrs] = ['git://localhost/x#bomb', { 'git.fullurl': server.url('bomb') }] as const;
      await expect(world.run(SOURCE(source, attrs))).rejects.toMatchObject({ kind: 'too-large' });
      expect(await readdir(join(world.root, 'builder/checkouts'))).toEqual([]);
    }
  });

  it('is refused while it is fetched, and nothing of it is kept', async () => {
    await server.create('large');
    const random = Array.from({ length: 20_000 }, (_, at) => (at * 2_654_435_761) % 2 ** 32).join('');
    await server.commit('large', { random });
    await using world = await DriversWorld.open({ drivers: { maxDownloadBytes: 20_000 } });
    await expect(names(world, server.url('large'))).rejects.toMatchObject({ kind: 'too-large' });
    const files = await readdir(join(world.root, 'builder/git'), { recursive: true });
    expect(files.filter((path) => /tmp_|\.pack$/.test(path))).toEqual([]);
  });

  it('gives way to others, the least recently used first', async () => {
    for (const name of ['one', 'two', 'three']) {
      await server.create(name);
      await server.commit(name, { random: Array.from({ length: 5_000 }, () => Math.random()).join('') });
    }
    await using world = await DriversWorld.open({ drivers: { maxKeptDownloadBytes: 150_000 } });
    for (const name of ['one', 'two', 'three']) await names(world, server.url(name));
    expect(await readdir(join(world.root, 'builder/git'))).toHaveLength(2);
    server.requests.length = 0;
    await names(world, server.url('three'));
    expect(server.requests).toEqual([]);
  });
});
