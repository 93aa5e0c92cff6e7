import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { succeed } from './harness/command.ts';
import { freePorts } from './harness/free-port.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-packaged-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/**
 * `npm ci` inside a build reaches what this host reaches, by this host's npm registry and certificates; that is
 * the test's business, so it comes with the base image and not with our Dockerfile.
 */
async function nodeForThisHost(slipway: Slipway): Promise<string> {
  const registry = await succeed('npm', ['config', 'get', 'registry'], { env: process.env, cwd: folder });
  copyFileSync('/etc/ssl/certs/ca-certificates.crt', join(folder, 'ca-certificates.crt'));
  writeFileSync(
    join(folder, 'Dockerfile'),
    [
      'FROM node:24',
      'COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt',
      `ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt npm_config_registry=${registry}`,
    ].join('\n'),
  );
  await slipway.dockerOk('build', '--tag', 'node-for-this-host', folder);
  return 'node-for-this-host';
}

it('builds its own image, whose container takes a push without being root', async () => {
  await using slipway = await startSlipway();
  await seedImages(slipway.registry, ['node', 'busybox']);
  const base = await nodeForThisHost(slipway);
  const options = ['--network', 'host', '--target', 'registry', '--build-arg', `NODE_IMAGE=${base}`];
  const built = await slipway.docker(['build', ...options, '--tag', 'slipway', project]);
  expect({ code: built.code, output: `${built.stdout}${built.stderr}` }).toMatchObject({ code: 0 });
  expect(built.stdout).not.toContain('apt-get');

  const config = JSON.parse(await slipway.dockerOk('inspect', '--format', '{{json .Config}}', 'slipway'));
  expect(config).toMatchObject({ User: 'slipway', Entrypoint: ['slipway'], Cmd: ['registry'] });
  expect(config.Healthcheck.Test.slice(0, 2)).toEqual(['CMD', 'node']);

  const address = `127.0.0.1:${(await freePorts(1))[0]}`;
  const settings = ['-e', `SLIPWAY_REGISTRY_LISTEN=${address}`];
  await slipway.dockerOk('run', '-d', '--name', 'packaged', '--network', 'host', ...settings, 'slipway');
  const ping = () =>
    fetch(`http://${address}/v2/`).then(
      ({ status }) => status,
      () => 0,
    );
  await expect.poll(ping, { timeout: 30_000 }).toBe(200);
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
});
