import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { succeed } from './harness/command.ts';
import { freePorts } from './harness/free-port.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

// Packages are installed in it, from wherever this machine has them.
vi.setConfig({ testTimeout: 900_000 });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-packaged-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/**
 * What a build does (`npm ci`, `apt-get install`) reaches what this host reaches, by this host's registries and
 * certificates; that is the test's business, so it comes with the base image and not with our Dockerfile.
 */
async function nodeForThisHost(slipway: Slipway): Promise<string> {
  const registry = await succeed('npm', ['config', 'get', 'registry'], { env: process.env, cwd: folder });
  const context = join(folder, 'node-for-this-host');
  mkdirSync(context);
  copyFileSync('/etc/ssl/certs/ca-certificates.crt', join(context, 'ca-certificates.crt'));
  for (const name of ['apt.conf.d', 'sources.list', 'sources.list.d/debian.sources']) {
    const from = join('/etc/apt', name);
    if (existsSync(from)) cpSync(from, join(context, 'apt', name), { recursive: true });
  }
  writeFileSync(
    join(context, 'Dockerfile'),
    [
      'FROM node:24',
      'COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt',
      'COPY apt /etc/apt',
      `ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt npm_config_registry=${registry}`,
    ].join('\n'),
  );
  await slipway.dockerOk('build', '--tag', 'node-for-this-host', context);
  return 'node-for-this-host';
}

/** No process of the container, which told of its code, had to strip types from any of it. */
async function expectCompiled(slipway: Slipway, container: string): Promise<void> {
  const { stdout, stderr } = await slipway.docker(['logs', container]);
  const told = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('for StrippedTypeScript'));
  expect(told.filter((line) => line.endsWith('/src/cli/command.ts...success')).length).toBeGreaterThan(0);
  expect(told.filter((line) => /no transpile cache|saving transpilation/.test(line))).toEqual([]);
}

it('builds its own image, whose container takes a push without being root', async () => {
  await using slipway = await startSlipway();
  await seedImages(slipway.registry, ['node', 'busybox']);
  const base = await nodeForThisHost(slipway);
  const options = ['--network', 'host', '--target', 'registry', '--build-arg', `NODE_IMAGE=${base}`];
  const built = await slipway.docker(['build', ...options, '--tag', 'slipway', project]);
  expect(built).toSucceed();
  expect(built.stdout).not.toContain('apt-get');

  const config = JSON.parse(await slipway.dockerOk('inspect', '--format', '{{json .Config}}', 'slipway'));
  expect(config).toMatchObject({ User: 'slipway', Entrypoint: ['slipway'], Cmd: ['registry'] });
  expect(config.Healthcheck.Test.slice(0, 2)).toEqual(['CMD', 'node']);

  const address = `127.0.0.1:${(await freePorts(1))[0]}`;
  const settings = ['-e', `SLIPWAY_REGISTRY_LISTEN=${address}`, '-e', 'NODE_DEBUG_NATIVE=COMPILE_CACHE'];
  await slipway.dockerOk('run', '-d', '--name', 'packaged', '--network', 'host', ...settings, 'slipway');
  const ping = () =>
    fetch(`http://${address}/v2/`).then(
      ({ status }) => status,
      () => 0,
    );
  await expect.poll(ping, { timeout: 60_000 }).toBe(200);
  expect(await slipway.dockerOk('exec', 'packaged', 'id', '-un')).toBe('slipway');
  await slipway.dockerOk('exec', 'packaged', ...config.Healthcheck.Test.slice(1));

  await slipway.dockerOk('pull', 'busybox');
  await slipway.dockerOk('tag', 'busybox', `${address}/team/busybox:1`);
  expect(await slipway.dockerOk('push', `${address}/team/busybox:1`)).toMatch(
    /^1: digest: sha256:[0-9a-f]{64} size: \d+$/m,
  );
  await slipway.dockerOk('rmi', `${address}/team/busybox:1`);
  expect(await slipway.dockerOk('run', '--rm', `${address}/team/busybox:1`, 'echo', 'there')).toBe('there');

  expect(await slipway.dockerOk('stop', 'packaged')).toBe('packaged');
  expect(await slipway.dockerOk('inspect', '--format', '{{.State.ExitCode}}', 'packaged')).toBe('0');
  await expectCompiled(slipway, 'packaged');
});

it('builds its worker, whose containers run beside it', async () => {
  await using slipway = await startSlipway();
  await seedImages(slipway.registry, ['node', 'busybox']);
  const base = await nodeForThisHost(slipway);
  const options = ['--network', 'host', '--target', 'worker', '--build-arg', `NODE_IMAGE=${base}`];
  const built = await slipway.docker(['build', ...options, '--tag', 'slipway-worker', project]);
  expect(built).toSucceed();

  const socket = join(folder, 'docker.sock');
  const settings = {
    SLIPWAY_WORKER_LISTEN: `unix://${socket}`,
    SLIPWAY_WORKER_REGISTRY_MIRRORS: `http://${slipway.registry}`,
    SLIPWAY_WORKER_NETWORK_DEFAULT_BRIDGE_NAME: 'slipinner',
    SLIPWAY_WORKER_NETWORK_DEFAULT_BRIDGE_SUBNET: '10.254.250.0/24',
    NODE_DEBUG_NATIVE: 'COMPILE_CACHE',
  };
  const environment = Object.entries(settings).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  const host = ['--network', 'host', '--privileged', '--cgroupns', 'host', '--volume', `${folder}:${folder}`];
  await slipway.dockerOk('run', '--detach', '--name', 'inner', ...host, ...environment, 'slipway-worker');
  const inner = (...args: string[]) =>
    succeed('docker', args, { env: { ...slipway.clientEnv, DOCKER_HOST: `unix://${socket}` } });
  const ping = () =>
    inner('version', '--format', '{{.Server.Version}}').catch(async (error) => {
      const { stdout, stderr } = await slipway.docker(['logs', 'inner']);
      return `${error}\n${stdout}${stderr}`;
    });
  await expect.poll(ping, { timeout: 60_000 }).toMatch(/^\d+\.\d+\.\d+$/);

  expect(await inner('run', '--rm', 'busybox', 'echo', 'from inside')).toBe('from inside');
  await inner('run', '--detach', '--name', 'web', 'busybox', 'sh', '-c', 'echo up; sleep 1000');
  expect(await inner('exec', 'web', 'hostname', '-i')).toMatch(/^10\.254\.250\./);
  await expect.poll(() => inner('logs', 'web')).toBe('up');
  await inner('rm', '--force', 'web');

  expect(await slipway.dockerOk('stop', 'inner')).toBe('inner');
  expect(await slipway.dockerOk('inspect', '--format', '{{.State.ExitCode}}', 'inner')).toBe('0');
  await expectCompiled(slipway, 'inner');
});
