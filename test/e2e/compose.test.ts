import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import type { CommandResult } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

// Projects of Docker Compose, as one runs them on one engine.

let slipway: Slipway;
let clients: Clients;
let folder: string;

beforeAll(async () => {
  slipway = await startSlipway({ workers: 2 });
  clients = createClients(`unix://${slipway.socket}`);
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  folder = join(slipway.folder, 'project');
  mkdirSync(folder);
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await slipway?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  await compose('down', '--volumes', '--remove-orphans', '--timeout', '0', '--rmi', 'local');
});

const sleeps = { image: 'busybox', command: ['sleep', '1000'], stop_grace_period: '0s' };
const says = (text: string) => ({ ...sleeps, command: ['sh', '-c', text] });

/** The project's file from now on. */
function project(content: object): void {
  writeFileSync(join(folder, 'compose.yaml'), JSON.stringify({ name: 'proj', ...content }));
}

const withProgress = ['compose', '--project-directory', '.', '--progress', 'plain'];

function compose(...args: string[]): Promise<CommandResult> {
  return clients.docker([...withProgress, ...args], { cwd: folder });
}

async function composed(...args: string[]): Promise<string> {
  const result = await compose(...args);
  expect(result, args.join(' ')).toSucceed();
  return result.stdout;
}

/** What a command says while it runs, and its end. */
async function following(...args: string[]) {
  const child = spawn('docker', [...withProgress, ...args], { cwd: folder, env: clients.env });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const ended = once(child, 'exit');
  return {
    said: () => said,
    async [Symbol.asyncDispose]() {
      child.kill('SIGINT');
      await ended;
    },
  };
}

const states = async (...args: string[]) =>
  (await composed('ps', '--all', '--format', '{{.Service}} {{.State}} {{.ExitCode}}', ...args))
    .trim()
    .split('\n')
    .filter(Boolean)
    .toSorted();

it('starts services when those that they need are healthy, or done', async () => {
  project({
    services: {
      db: {
        ...says('sleep 1; touch /ready; sleep 1000'),
        healthcheck: { test: 'test -e /ready', interval: '200ms', retries: 100 },
      },
      migrate: {
        ...says('ping -c 1 -W 5 db && echo moved > /data/schema'),
        volumes: ['data:/data'],
        depends_on: { db: { condition: 'service_healthy' } },
      },
      web: {
        ...says('cat /data/schema; sleep 1000'),
        volumes: ['data:/data'],
        depends_on: {
          db: { condition: 'service_healthy' },
          migrate: { condition: 'service_completed_successfully' },
        },
      },
    },
    volumes: { data: {} },
  });
  await composed('up', '--detach', '--wait-timeout', '120');
  expect(await states()).toEqual(['db running 0', 'migrate exited 0', 'web running 0']);
  await expect.poll(() => composed('logs', '--no-log-prefix', 'web')).toBe('moved\n');
  // Nothing is made anew that is as it should be.
  const before = await composed('ps', '--all', '--quiet');
  await composed('up', '--detach');
  expect(await composed('ps', '--all', '--quiet')).toBe(before);
});

it('makes anew what changed, and nothing else; takes away what is not there any more', async () => {
  const services = { one: sleeps, two: sleeps, three: sleeps };
  project({ services });
  await composed('up', '--detach');
  const ids = async (service: string) => (await composed('ps', '--quiet', service)).trim();
  const before = { one: await ids('one'), two: await ids('two') };
  project({ services: { one: sleeps, two: { ...sleeps, environment: { NEW: 'yes' } } } });
  const { stderr } = await compose('up', '--detach');
  expect(stderr).toContain('Found orphan containers');
  expect(await ids('one')).toBe(before.one);
  expect(await ids('two')).not.toBe(before.two);
  expect(await composed('exec', '-T', 'two', 'sh', '-c', 'echo $NEW')).toBe('yes\n');
  await composed('up', '--detach', '--remove-orphans');
  expect(await slipway.dockerOk('ps', '--all', '--format', '{{.Names}}')).not.toContain('three');
});

it('scales services, all of which answer to one name', async () => {
  project({ services: { app: { ...says('hostname > /name; httpd -f -p 80 -h /') }, probe: sleeps } });
  await composed('up', '--detach', '--scale', 'app=3');
  expect(await states('app')).toEqual(Array(3).fill('app running 0'));
  const found = async () =>
    new Set((await compose('exec', '-T', 'probe', 'nslookup', 'app')).stdout.match(/Address:? .*\d+\.\d+$/gm))
      .size;
  await expect.poll(found).toBeGreaterThanOrEqual(3);
  expect(await composed('exec', '-T', 'probe', 'wget', '-qO-', 'http://proj-app-2/name')).toMatch(
    /^[0-9a-f]{12}\n$/,
  );
  await composed('scale', 'app=1');
  expect(await states('app')).toEqual(['app running 0']);
});

it('starts what a profile has when it is asked for', async () => {
  project({ services: { always: sleeps, tool: { ...sleeps, profiles: ['tools'] } } });
  await composed('up', '--detach');
  expect(await states()).toEqual(['always running 0']);
  await composed('--profile', 'tools', 'up', '--detach');
  expect(await states()).toEqual(['always running 0', 'tool running 0']);
  await composed('--profile', 'tools', 'stop', '--timeout', '0');
  expect((await states()).every((state) => state.includes('exited'))).toBe(true);
  await composed('--profile', 'tools', 'down');
});

it('follows logs and events of all services, and runs commands in them', async () => {
  project({
    services: {
      red: says('while :; do echo from red; sleep 0.2; done'),
      blue: says('while :; do echo from blue; sleep 0.2; done'),
    },
  });
  await using events = await following('events', '--json');
  await composed('up', '--detach');
  await using logs = await following('logs', '--follow', '--no-color');
  await expect
    .poll(logs.said)
    .toMatch(/blue-1 +\| from blue[\s\S]*red-1 +\| from red|red-1 +\| from red[\s\S]*blue-1 +\| from blue/);
  await expect.poll(events.said).toMatch(/"action":"start"[^\n]*"service":"(?:red|blue)"/);
  expect(
    await composed(
      'exec',
      '-T',
      '--env',
      'GIVEN=1',
      '--workdir',
      '/tmp',
      'red',
      'sh',
      '-c',
      'pwd; echo $GIVEN',
    ),
  ).toBe('/tmp\n1\n');
  const failed = await compose('exec', '-T', 'blue', 'sh', '-c', 'echo wrong >&2; exit 7');
  expect(failed).toMatchObject({ code: 7, stderr: 'wrong\n' });
  const piped = await clients.docker([...withProgress, 'exec', '-T', 'red', 'wc', '-c'], {
    cwd: folder,
    input: 'x'.repeat(100_000),
  });
  expect(piped).toMatchObject({ code: 0, stdout: '100000\n' });
  expect(await composed('top', 'red')).toContain('from red');
  await composed('pause', 'red');
  expect(await states('red')).toEqual(['red paused 0']);
  await composed('unpause', 'red');
  await composed('restart', '--timeout', '0', 'blue');
  await composed('kill', 'blue');
  expect(await states()).toEqual(['blue exited 137', 'red running 0']);
  await expect.poll(events.said).toMatch(/"action":"die"[^\n]*"service":"blue"/);
  // One that begins anew is followed on.
  const length = logs.said().length;
  await composed('start', 'blue');
  await expect.poll(() => logs.said().slice(length)).toMatch(/blue-1 +\| from blue/);
});

it('runs commands once, beside what they need, and takes them away', async () => {
  project({
    services: {
      db: { ...sleeps, volumes: ['data:/data'] },
      task: { ...says('exit 1'), depends_on: ['db'], volumes: ['data:/data'], environment: { WHO: 'task' } },
    },
    volumes: { data: {} },
  });
  const ran = await compose(
    'run',
    '--rm',
    '-T',
    '--env',
    'MORE=1',
    'task',
    'sh',
    '-c',
    'ping -c1 -W5 db >/dev/null; echo $WHO $MORE $? | tee /data/said',
  );
  expect(ran).toMatchObject({ code: 0, stdout: 'task 1 0\n' });
  expect((await compose('run', '--rm', '-T', '--no-deps', 'task')).code).toBe(1);
  expect(await composed('exec', '-T', 'db', 'cat', '/data/said')).toBe('task 1 0\n');
  expect(await slipway.dockerOk('ps', '--all', '--format', '{{.Names}}')).toBe('proj-db-1');
  await composed('down', '--volumes', '--timeout', '0');
  expect(await slipway.dockerOk('volume', 'ls', '--quiet')).toBe('');
  expect(await slipway.dockerOk('network', 'ls', '--quiet', '--filter', 'name=proj')).toBe('');
});

it('copies files, gives configs and secrets, and says which ports are published', async () => {
  writeFileSync(join(folder, 'config'), 'the config\n');
  writeFileSync(join(folder, 'secret'), 'the secret\n');
  project({
    services: {
      app: { ...sleeps, configs: ['settings'], secrets: ['password'], expose: ['80'], ports: ['80'] },
    },
    configs: { settings: { file: './config' } },
    secrets: { password: { file: './secret' } },
  });
  await composed('up', '--detach');
  expect(await composed('exec', '-T', 'app', 'cat', '/settings', '/run/secrets/password')).toBe(
    'the config\nthe secret\n',
  );
  await composed('cp', './config', 'app:/tmp/copied');
  await composed('cp', 'app:/tmp/copied', './back');
  expect(readFileSync(join(folder, 'back'), 'utf8')).toBe('the config\n');
  expect(await composed('port', 'app', '80')).toMatch(/^0\.0\.0\.0:\d+\n$/);
  expect(await composed('images')).toContain('busybox');
  expect(await composed('ls', '--quiet')).toBe('proj\n');
  const archive = join(folder, 'app.tar');
  await composed('export', '--output', archive, 'app');
});

it('builds services, and keeps them as their files are (watch)', async () => {
  const context = join(folder, 'context');
  mkdirSync(context);
  const write = (name: string, text: string) => writeFileSync(join(context, name), text);
  write('Dockerfile', 'FROM busybox\nCOPY . /app/\nCMD ["sleep", "1000"]\n');
  write('page', 'one');
  write('version', '1');
  project({
    services: {
      app: {
        build: context,
        stop_grace_period: '0s',
        develop: {
          watch: [
            { action: 'sync', path: './context/page', target: '/app/page' },
            { action: 'rebuild', path: './context/version' },
          ],
        },
      },
    },
  });
  await composed('up', '--detach', '--build');
  const shown = async (name: string) => (await compose('exec', '-T', 'app', 'cat', `/app/${name}`)).stdout;
  expect(await shown('page')).toBe('one');
  await using watch = await following('watch', '--no-up');
  await expect.poll(watch.said).toContain('Watch enabled');
  write('page', 'two');
  await expect.poll(() => shown('page')).toBe('two');
  write('version', '2');
  await expect.poll(() => shown('version'), { timeout: 90_000 }).toBe('2');
});
