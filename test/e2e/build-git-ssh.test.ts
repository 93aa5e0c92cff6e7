import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { GitServer } from '../contracts/build/git-server.ts';
import { definition, source } from '../llb/graph.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';
import { SshServer } from './harness/ssh-server.ts';

/** Repositories behind OpenSSH, reached with the keys of the client's agent, which stay with it. */

let slipway: Slipway;
let clients: Clients;
let ssh: SshServer;
let git: GitServer;
let commit: string;

const folder = (name: string) => join(slipway.folder, name);

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker', buildkit: true });
  clients = createClients(`unix://${slipway.socket}`);
  await clients.buildx(['create', '--name', 'remote', '--driver', 'remote', slipway.buildkit]);
  ssh = await SshServer.open(folder('ssh'));
  git = await GitServer.open(folder('repositories'));
  await git.create('module');
  const module = await git.commit('module', { 'module.txt': 'of a module' });
  await git.create('private');
  await git.commit('private', {
    Dockerfile: 'FROM scratch\nCOPY . /\n',
    'private.txt': 'of a repository',
    '.gitmodules': `[submodule "m"]\n\tpath = mod\n\turl = ${ssh.url(folder('repositories/module'))}\n`,
  });
  await git.git('private', 'update-index', '--add', '--cacheinfo', `160000,${module},mod`);
  await git.git('private', 'commit', '--quiet', '--amend', '--no-edit');
  commit = await git.git('private', 'rev-parse', 'HEAD');
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await git?.[Symbol.asyncDispose]();
  await ssh?.[Symbol.asyncDispose]();
  await slipway?.[Symbol.asyncDispose]();
});

const url = () => ssh.url(folder('repositories/private'));
const agent = () => ['--ssh', `default=${ssh.agent}`];

it.each(['default', 'remote'])(
  'is the context of a build, with its submodules (builder %s)',
  async (builder) => {
    const dest = folder(`out-${builder}`);
    const output = ['--output', `type=local,dest=${dest}`];
    const built = await clients.buildx([
      'build',
      '--builder',
      builder,
      ...agent(),
      ...output,
      `${url()}#main`,
    ]);
    expect(built).toSucceed();
    expect(readFileSync(join(dest, 'private.txt'), 'utf8')).toBe('of a repository');
    expect(readFileSync(join(dest, 'mod/module.txt'), 'utf8')).toBe('of a module');
    expect(ssh.log).toContain('Accepted publickey for root');
  },
);

it('is what ADD adds', async () => {
  const context = folder('context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), `FROM scratch\nADD --checksum=${commit} ${url()}#main /src\n`);
  const dest = folder('out-add');
  const built = await clients.buildx(['build', ...agent(), '--output', `type=local,dest=${dest}`, context]);
  expect(built).toSucceed();
  expect(readFileSync(join(dest, 'src/private.txt'), 'utf8')).toBe('of a repository');
});

it('is not reached without the client’s agent', async () => {
  // For contexts buildx asks for its agent by itself.
  const file = `FROM scratch\nADD ${url()}#main /\n`;
  const built = await clients.buildx(['build', '--no-cache', '-'], { input: file });
  expect(built.code).toBe(1);
  expect(built.stderr).toMatch(/unset ssh forward key default|no SSH key "default" forwarded/);
});

it('is its host’s by the keys that a client knows, where it knows some', async () => {
  const solve = (name: string, key: string) => {
    const known = `[127.0.0.1]:${ssh.port} ${key}\n`;
    const attrs = { 'git.fullurl': url(), 'git.mountsshsock': 'default', 'git.knownsshhosts': known };
    const args = ['build', '--no-cache', ...agent(), '--output', `type=local,dest=${folder(name)}`];
    const input = definition(source(`git://127.0.0.1/${name}`, attrs));
    return clients.buildctl(slipway.buildkit, args, { input });
  };
  expect(await solve('known', ssh.hostKey)).toSucceed();
  expect(readFileSync(join(folder('known'), 'private.txt'), 'utf8')).toBe('of a repository');
  const other = readFileSync(folder('ssh/client.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
  const refused = await solve('other', other);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/);
});

it('is named as git names it, without a port', async () => {
  await using apart = await startSlipway({ command: 'worker', apart: true });
  using builder = createClients(`unix://${apart.socket}`);
  await using server = await SshServer.open(join(apart.folder, 'ssh'), { beside: apart.pid });
  await git.create('named');
  await git.commit('named', { Dockerfile: 'FROM scratch\nCOPY . /\n', 'named.txt': 'by git@host:path' });
  const repository = `root@127.0.0.1:${folder('repositories/named')}#main`;
  const ssh = ['--ssh', `default=${server.agent}`];
  const build = (dest: string, ...context: string[]) =>
    builder.buildx(['build', ...ssh, '--output', `type=local,dest=${join(apart.folder, dest)}`, ...context]);
  expect(await build('context', repository)).toSucceed();
  expect(readFileSync(join(apart.folder, 'context/named.txt'), 'utf8')).toBe('by git@host:path');
  const context = join(apart.folder, 'add');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), `FROM scratch\nADD ${repository} /src\n`);
  expect(await build('added', context)).toSucceed();
  expect(readFileSync(join(apart.folder, 'added/src/named.txt'), 'utf8')).toBe('by git@host:path');
  expect(server.log).toContain('Accepted publickey for root from 127.0.0.1');
});
