import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SourceOp } from '#worker/build/llb/op.ts';
import { SOURCE } from './drivers-world.ts';
import { GitServer } from './git-server.ts';
import { sourcesWorld } from './sources-world.ts';

const on = sourcesWorld();
const { source, names } = on;

describe('a repository', () => {
  let server: GitServer;
  let first: string;
  let second: string;
  beforeAll(async () => {
    server = await GitServer.open(await on.world.folder('repositories'));
    await server.create('module');
    await server.commit('module', { 'm.txt': 'module' });
    await server.create('repo');
    first = await server.commit('repo', { 'a.txt': '1', 'sub/b.txt': 'b' });
    await server.git('repo', 'tag', '-a', 'v1', '-m', 'one');
    second = await server.commit('repo', { 'a.txt': '2' });
    await server.git('repo', 'checkout', '--quiet', '-b', 'side');
    await server.git('repo', 'submodule', '--quiet', 'add', server.url('module'), 'mod');
    await server.commit('repo', { 'side.txt': 's' });
    await server.git('repo', 'checkout', '--quiet', 'main');
  });
  afterAll(() => server[Symbol.asyncDispose]());
  afterEach(() => on.world.end());

  const git = (fragment = '', attrs: Record<string, string> = {}) =>
    source(`git://127.0.0.1/repo${fragment}`, { 'git.fullurl': server.url('repo'), ...attrs });
  const resolved = async (fragment = '', attrs: Record<string, string> = {}) => {
    const op = SOURCE(`git://127.0.0.1/repo${fragment}`, { 'git.fullurl': server.url('repo'), ...attrs });
    const vertex = on.world.vertex(op, 0);
    return on.world.drivers.ops.source.cacheMap(vertex as never, on.world.context);
  };

  it('is checked out at a branch, a tag or a commit, as a whole or a part', async () => {
    const checkout = await git();
    expect(checkout).toMatchObject({ kind: 'directory', passing: true });
    expect(await on.world.read(checkout, 'a.txt')).toBe('2');
    expect(await on.world.read(await git('#v1'), 'a.txt')).toBe('1');
    expect(await on.world.read(await git(`#${first}`), 'a.txt')).toBe('1');
    expect(await on.world.read(await git('#refs/heads/main'), 'a.txt')).toBe('2');
    expect(await names(await git('#main:sub'))).toEqual(['b.txt']);
    expect(await names(await git())).toEqual(['a.txt', 'sub']);
    await expect(git('#nothing')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(git('#main:a.txt')).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('is described by its commit, its tag, and what these say', async () => {
    const describe = (fragment: string, wanted = {}) => {
      const op = SOURCE(`git://127.0.0.1/repo${fragment}`, { 'git.fullurl': server.url('repo') });
      const { session, signal } = on.world.context;
      return on.world.drivers.sources.describe(op as SourceOp, wanted, {
        platform: undefined,
        session,
        signal,
      });
    };
    expect((await describe('')).git).toEqual({ ref: 'refs/heads/main', checksum: second });
    const tag = (await server.git('repo', 'rev-parse', 'v1')).trim();
    const named = { ref: 'refs/tags/v1', checksum: tag, commitChecksum: first };
    expect((await describe('#v1')).git).toEqual(named);
    const { commitObject, tagObject, ...rest } = (await describe('#v1', { gitObjects: true })).git!;
    expect(rest).toEqual(named);
    const digest = (kind: string, bytes: Uint8Array) =>
      createHash('sha1').update(`${kind} ${bytes.length}\0`).update(bytes).digest('hex');
    expect(digest('commit', commitObject!)).toBe(first);
    expect(digest('tag', tagObject!)).toBe(tag);
  });

  it('is known by its commit', async () => {
    expect((await resolved()).resolved).toBe(second);
    expect((await resolved('#v1')).resolved).toBe(first);
    expect((await resolved('#main')).digest).toBe((await resolved()).digest);
    expect((await resolved('#main:sub')).digest).not.toBe((await resolved()).digest);
    const byCommit = { 'git.checksum': first, 'git.fetchbycommit': 'true' };
    expect((await resolved('#gone', byCommit)).resolved).toBe(first);
    await expect(resolved('#gone', { 'git.fetchbycommit': 'true' })).rejects.toMatchObject({
      kind: 'invalid',
    });
    await expect(resolved('#main', { 'git.checksum': first })).rejects.toMatchObject({
      kind: 'invalid',
      message: `expected checksum to match ${first}, got ${second}`,
    });
    server.requests.length = 0;
    await resolved(`#${first}`);
    expect(server.requests).toEqual([]);
  });

  it('is fetched once', async () => {
    await git();
    server.requests.length = 0;
    await git();
    expect(server.requests.filter((request) => request.includes('upload-pack'))).toEqual([]);
  });

  it('comes with its submodules, unless they are not wanted', async () => {
    const ref = await git('#side');
    expect(await on.world.read(ref, 'mod/m.txt')).toBe('module');
    expect(await on.world.see(ref, (root) => readdir(join(root, 'mod')))).toEqual(['m.txt']);
    const without = await git('#side', { 'git.skipsubmodules': 'true' });
    expect(await on.world.see(without, (root) => readdir(join(root, 'mod')))).toEqual([]);
  });

  it('keeps its .git directory when it is asked to, of which nothing leads here', async () => {
    const ref = await git('#main', { 'git.keepgitdir': 'true' });
    const config = await on.world.read(ref, '.git/config');
    expect(config).toContain(server.url('repo'));
    expect(config).not.toContain(on.world.root);
    expect(await on.world.read(ref, '.git/HEAD')).toContain(second);
  });

  it('may have names of 64 digits', async () => {
    await server.create('long', '--object-format=sha256');
    const commit = await server.commit('long', { l: 'long' });
    const attrs = { 'git.fullurl': server.url('long'), 'git.keepgitdir': 'true' };
    for (const ref of ['#main', `#${commit}`]) {
      expect(await on.world.read(await git(ref, attrs), '.git/HEAD')).toContain(commit);
    }
  });

  it('comes from a server that knows nothing of git, too', async () => {
    await server.create('plain');
    const commit = await server.commit('plain', { p: 'plain' });
    await server.git('plain', 'tag', '-a', 'v1', '-m', 'v1');
    await server.git('plain', 'update-server-info');
    const files = createServer((request, response) => {
      const path = join(server.root, 'plain/.git', new URL(request.url!, 'http://x').pathname);
      const body = createReadStream(path);
      body.once('error', () => response.writeHead(404).end());
      body.once('open', () => body.pipe(response));
    });
    await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
    try {
      const attrs = { 'git.fullurl': `http://127.0.0.1:${(files.address() as AddressInfo).port}/` };
      expect(await on.world.read(await git('#main', attrs), 'p')).toBe('plain');
      const tag = await server.git('plain', 'rev-parse', 'v1');
      const kept = await git('#v1', { ...attrs, 'git.keepgitdir': 'true', 'git.checksum': tag });
      expect(await on.world.read(kept, '.git/HEAD')).toContain(commit);
    } finally {
      files.closeAllConnections();
      files.close();
    }
  });

  it('is as old as its commit when it is asked to be', async () => {
    const ref = await git('#main', { 'git.mtime': 'commit' });
    const { mtime } = await on.world.see(ref, (root) => stat(join(root, 'sub/b.txt')));
    expect(mtime.toISOString()).toBe('2024-05-06T07:08:09.000Z');
  });

  it('is reached with a client’s token', async () => {
    server.authorization = `basic ${Buffer.from('x-access-token:s3cret').toString('base64')}`;
    try {
      const attrs = { 'git.authtokensecret': 'GIT_AUTH_TOKEN', 'git.fullurl': server.url('module') };
      await expect(git('', attrs)).rejects.toMatchObject({ kind: 'unavailable' });
      on.world.session.secrets.set('GIT_AUTH_TOKEN', 's3cret\n');
      expect(await on.world.read(await git('', attrs), 'm.txt')).toBe('module');
    } finally {
      server.authorization = undefined;
    }
  });

  it('runs nothing of its own, and leads nowhere else', async () => {
    await server.create('hostile');
    const marker = join(on.world.root, 'ran');
    await server.commit('hostile', {
      '.gitmodules': `[submodule "x"]\n\tpath = x\n\turl = file://${server.root}/module\n\tupdate = !touch ${marker}\n`,
      '.gitattributes': '* filter=evil\n',
      a: 'a',
    });
    await git('', { 'git.fullurl': server.url('hostile') }).catch(() => undefined);
    await expect(stat(marker)).rejects.toThrow();
    for (const url of [
      'file:///etc',
      'ext::sh -c id',
      '--upload-pack=id',
      'http://-oProxyCommand=x/',
      '/etc',
    ]) {
      await expect(git('', { 'git.fullurl': url })).rejects.toMatchObject({
        kind: expect.stringMatching(/^(invalid|unavailable|not-found)$/),
      });
    }
    await expect(git('#--upload-pack=touch')).rejects.toMatchObject({ kind: 'invalid' });
  });
});
