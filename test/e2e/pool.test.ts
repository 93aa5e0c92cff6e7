import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { run, succeed } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

const slipwayProgram = fileURLToPath(new URL('../../bin/slipway', import.meta.url));
const WORKERS = ['worker-1', 'worker-2', 'worker-3'] as const;

let pool: Slipway;
let clients: Clients;

beforeAll(async () => {
  pool = await startSlipway({
    args: ['--workers', String(WORKERS.length)],
    // Each worker gets a sixteenth.
    env: { SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: '[{ base: 10.219.0.0/16, size: 24 }]' },
  });
  clients = createClients(`unix://${pool.socket}`);
  await pool.dockerOk('load', '--input', await busyboxArchive());
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await pool?.[Symbol.asyncDispose]();
});

/** What a worker says when it is asked itself. */
async function at(worker: string, ...args: string[]): Promise<string[]> {
  const socket = join(pool.folder, 'run', worker, 'docker.sock');
  const env = { ...pool.clientEnv, DOCKER_HOST: `unix://${socket}` };
  return (await succeed('docker', args, { env })).split('\n').filter(Boolean);
}

const names = (worker: string) => at(worker, 'ps', '--all', '--format', '{{.Names}}');

async function api(path: string): Promise<{ items: { id: string }[]; next?: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get({ socketPath: pool.socket, path: `/api/v1${path}` }, resolve).on('error', reject);
  return JSON.parse(await text(await promise));
}

async function homeOf(container: string): Promise<string> {
  for (const worker of WORKERS) if ((await names(worker)).includes(container)) return worker;
  throw new Error(`nobody has ${container}`);
}

it('spreads containers over its workers and is one host all the same', async () => {
  const made = ['spread-1', 'spread-2', 'spread-3'];
  for (const name of made) await pool.dockerOk('run', '--detach', '--name', name, 'busybox', 'sleep', '1000');
  expect((await Promise.all(made.map(homeOf))).toSorted()).toEqual([...WORKERS]);
  const listed = (await pool.dockerOk('ps', '--filter', 'name=spread-', '--format', '{{.Names}}'))
    .trim()
    .split('\n');
  expect(listed.toSorted()).toEqual(made);
  const id = (await pool.dockerOk('inspect', '--format', '{{.Id}}', 'spread-2')).trim();
  expect(await pool.dockerOk('exec', id.slice(0, 12), 'echo', 'by a short ID')).toBe('by a short ID');
  expect((await pool.dockerOk('stats', '--no-stream', '--format', '{{.Name}}')).split('\n')).toEqual(
    expect.arrayContaining(made),
  );
  expect(JSON.parse(await pool.dockerOk('info', '--format', '{{json .}}'))).toMatchObject({
    Name: 'slipway pool',
    DriverStatus: [['Workers', '3'], ...WORKERS.map((name) => [` ${name}`, expect.any(String)])],
  });
  await pool.dockerOk('rm', '--force', ...made);
  expect(await pool.dockerOk('ps', '--all', '--quiet')).toBe('');
});

it('has each name once, however many ask for it at once', async () => {
  const create = () => pool.docker(['create', '--name', 'only', 'busybox', 'true']);
  const results = await Promise.all([create(), create(), create(), create()]);
  expect(results.filter(({ code }) => code === 0)).toHaveLength(1);
  for (const { stderr } of results.filter(({ code }) => code !== 0))
    expect(stderr).toContain('already in use');
  await pool.dockerOk('rename', 'only', 'renamed');
  await pool.dockerOk('create', '--name', 'only', 'busybox', 'true');
  expect((await pool.docker(['rename', 'renamed', 'only'])).stderr).toContain('already in use');
  await pool.dockerOk('rm', 'only', 'renamed');
  await pool.dockerOk('run', '--rm', '--name', 'only', 'busybox', 'true');
  await pool.dockerOk('run', '--rm', '--name', 'only', 'busybox', 'true');
});

it('passes streams through as they are', async () => {
  const input = 'a line of many\n'.repeat(100_000);
  const piped = await pool.docker(['run', '--rm', '--interactive', 'busybox', 'cat'], { input });
  expect(piped.stdout === input).toBe(true);
  await pool.dockerOk(
    'run',
    '--detach',
    '--name',
    'talks',
    'busybox',
    'sh',
    '-c',
    'echo out; echo err >&2; sleep 1; echo end',
  );
  const followed = await pool.docker(['logs', '--follow', 'talks']);
  expect(followed).toMatchObject({ code: 0, stdout: 'out\nend\n', stderr: 'err\n' });
  expect(await pool.dockerOk('wait', 'talks')).toBe('0');
  const file = join(pool.folder, 'copied');
  writeFileSync(file, input);
  await pool.dockerOk('cp', file, 'talks:/there');
  await pool.dockerOk('cp', 'talks:/there', `${file}.back`);
  expect(readFileSync(`${file}.back`, 'utf8') === input).toBe(true);
  await pool.dockerOk('rm', 'talks');
  using terminal = pool.dockerTerminal('run', '--rm', '-it', 'busybox', 'sh');
  await terminal.shows(/\/ #/);
  terminal.type('echo $((40+2))\r');
  await terminal.shows(/^42/m);
  terminal.type('exit\r');
  expect(await terminal.ends()).toBe(0);
});

it('brings images to where they are needed', async () => {
  const context = join(pool.folder, 'classic');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nRUN echo built > /made\nCMD ["cat", "/made"]\n');
  await pool.dockerOk('build', '--tag', 'made', context);
  for (const worker of WORKERS) {
    const output = await pool.dockerOk('run', '--rm', '--env', `constraint:worker==${worker}`, 'made');
    expect(output).toBe('built');
  }
  expect((await pool.dockerOk('images', '--quiet', 'made')).trim().split('\n')).toHaveLength(1);
  for (const worker of WORKERS) expect(await at(worker, 'images', '--quiet', 'made')).toHaveLength(1);
  await pool.dockerOk('rmi', 'made');
  for (const worker of WORKERS) expect(await at(worker, 'images', '--quiet', 'made')).toEqual([]);
  expect((await pool.docker(['run', '--rm', 'made'])).code).not.toBe(0);
});

it('keeps what belongs together on one worker', async () => {
  await pool.dockerOk('network', 'create', 'together');
  await pool.dockerOk('volume', 'create', 'shared');
  const options = ['--network', 'together', '--volume', 'shared:/shared'];
  for (const name of ['one', 'two']) {
    const command = ['sh', '-c', `echo ${name} >> /shared/names; sleep 1000`];
    await pool.dockerOk('run', '--detach', '--name', name, ...options, 'busybox', ...command);
  }
  const home = await homeOf('one');
  expect(await homeOf('two')).toBe(home);
  await expect.poll(() => pool.dockerOk('exec', 'two', 'cat', '/shared/names')).toBe('one\ntwo');
  await expect.poll(() => pool.docker(['exec', 'two', 'nslookup', 'one'])).toSucceed();
  const other = WORKERS.find((worker) => worker !== home)!;
  const away = ['run', '--rm', '--env', `constraint:worker==${other}`, ...options, 'busybox', 'true'];
  expect((await pool.docker(away)).stderr).toContain(`network together is on worker ${home}`);
  expect(
    (await pool.docker(['run', '--rm', '--env', 'constraint:zone==a', 'busybox', 'true'])).stderr,
  ).toContain('no worker of the pool fits: zone==a');
  await pool.dockerOk('rm', '--force', 'one', 'two');
  await pool.dockerOk('network', 'rm', 'together');
  await pool.dockerOk('volume', 'rm', 'shared');
});

it('runs a Compose project on one worker', async () => {
  const folder = join(pool.folder, 'project');
  mkdirSync(folder);
  const file = join(folder, 'compose.yaml');
  const service = (text: string) =>
    `{ image: busybox, command: [sh, -c, "${text}"], volumes: ["data:/data"] }`;
  writeFileSync(
    file,
    `services:\n  web: ${service('echo web > /data/web; sleep 1000')}\n  db: ${service('sleep 1000')}\nvolumes: { data: {} }\n`,
  );
  const env = { ...pool.clientEnv, DOCKER_CONFIG: clients.folder };
  const compose = (...args: string[]) =>
    run('docker', ['compose', '--file', file, '--project-name', 'proj', ...args], { env });
  expect(await compose('up', '--detach')).toSucceed();
  const home = await homeOf('proj-web-1');
  expect(await homeOf('proj-db-1')).toBe(home);
  await expect.poll(async () => (await compose('exec', '-T', 'db', 'cat', '/data/web')).stdout).toBe('web\n');
  expect(await compose('down', '--volumes', '--timeout', '0')).toSucceed();
  expect(await pool.dockerOk('ps', '--all', '--quiet')).toBe('');
  expect(await pool.dockerOk('volume', 'ls', '--quiet')).toBe('');
});

it('builds with BuildKit’s client, several at once', async () => {
  const built = await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (name) => {
      const context = join(pool.folder, `context-${name}`);
      mkdirSync(context);
      writeFileSync(join(context, 'file'), `${name}\n`);
      writeFileSync(
        join(context, 'Dockerfile'),
        'FROM busybox\nCOPY file /file\nRUN cat /file /file > /twice\nCMD ["cat", "/twice"]\n',
      );
      return await clients.buildx(['build', '--load', '--tag', `bk-${name}`, context]);
    }),
  );
  expect(built.map(({ code, stderr }) => (code === 0 ? 'built' : stderr))).toEqual(Array(4).fill('built'));
  for (const name of ['a', 'd'])
    expect(await pool.dockerOk('run', '--rm', `bk-${name}`)).toBe(`${name}\n${name}`);
  const failed = await clients.buildx(['build', '-'], { input: 'FROM busybox\nRUN exit 7\n' });
  expect(failed.code).not.toBe(0);
  expect(failed.stderr).toContain('exit code: 7');
});

it('finds builds of all workers, page by page', async () => {
  const builds = (...args: string[]) => succeed(slipwayProgram, ['builds', ...args], { env: pool.clientEnv });
  const listed = JSON.parse(await builds('list', '--json')) as { id: string; state: string }[];
  // The newest first.
  expect(listed.map(({ state }) => state)).toEqual(['failed', ...Array(listed.length - 1).fill('completed')]);
  const ids = listed.map(({ id }) => id);
  const paged: string[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined; ) {
    const page = await api(`/builds?limit=2${cursor && `&cursor=${cursor}`}`);
    paged.push(...page.items.map(({ id }) => id));
    cursor = page.next;
  }
  expect(paged).toEqual(ids);
  for (const id of ids) expect(await builds('show', id)).toContain('FROM');
  await builds('remove', ids[1]!);
  expect(JSON.parse(await builds('list', '--json'))).toHaveLength(listed.length - 1);
});

it('tells what happened on all workers, in order, and cleans up on all', async () => {
  const since = String(Date.now() / 1000);
  for (const name of ['e1', 'e2', 'e3']) await pool.dockerOk('run', '--name', name, 'busybox', 'true');
  const until = String(Date.now() / 1000 + 0.001);
  const format = ['--filter', 'event=die', '--format', '{{.TimeNano}} {{.Actor.Attributes.name}}'];
  const lines = (await pool.dockerOk('events', '--since', since, '--until', until, ...format))
    .trim()
    .split('\n');
  expect(lines.map((line) => line.split(' ')[1])).toEqual(['e1', 'e2', 'e3']);
  expect(lines.toSorted()).toEqual(lines);
  const usage = await pool.dockerOk('system', 'df', '--format', '{{.Type}} {{.TotalCount}}');
  expect(usage).toContain('Containers 3');
  await pool.dockerOk('container', 'prune', '--force');
  expect(await pool.dockerOk('ps', '--all', '--quiet')).toBe('');
});

it('loses nothing when a worker or the gateway is killed', async () => {
  for (const name of ['k1', 'k2', 'k3'])
    await pool.dockerOk('run', '--detach', '--name', name, 'busybox', 'sleep', '1000');
  const home = (await homeOf('k1')) as (typeof WORKERS)[number];
  for (const role of ['gateway', `${home}/worker`] as const) {
    const before = pool.rolePid(role);
    process.kill(before, 'SIGKILL');
    await expect.poll(() => pool.rolePid(role), { timeout: 60_000 }).not.toBe(before);
    await expect
      .poll(async () => (await pool.docker(['exec', 'k1', 'echo', 'here'])).stdout, { timeout: 60_000 })
      .toBe('here\n');
    const listed = await pool.dockerOk('ps', '--format', '{{.Names}}');
    expect(listed.trim().split('\n').toSorted()).toEqual(['k1', 'k2', 'k3']);
  }
  expect((await pool.docker(['create', '--name', 'k1', 'busybox'])).stderr).toContain('already in use');
});

it('stops, and finds everything again', async () => {
  expect(await pool.stop()).toBe(0);
  await pool.start();
  const listed = await pool.dockerOk('ps', '--format', '{{.Names}}');
  expect(listed.trim().split('\n').toSorted()).toEqual(['k1', 'k2', 'k3']);
  expect(pool.output.match(/joined the pool/g)).toHaveLength(WORKERS.length);
  await pool.dockerOk('rm', '--force', 'k1', 'k2', 'k3');
  expect((await run('docker', ['ps', '--all', '--quiet'], { env: pool.clientEnv })).stdout).toBe('');
});
