import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { Dockerd } from './harness/dockerd.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** Images go both ways between Slipway and a real Docker Engine, over Slipway's registry. */

let slipway: Slipway;
let dockerd: Dockerd;

beforeAll(async () => {
  slipway = await startSlipway();
  await seedImages(slipway.registry, ['busybox']);
  dockerd = await Dockerd.start({ network: 'host' });
});

afterAll(async () => {
  await dockerd?.[Symbol.asyncDispose]();
  await slipway?.[Symbol.asyncDispose]();
});

/** A context whose image has a bit of everything that layers can carry. */
function writeContext(name: string): string {
  const context = join(slipway.folder, name);
  mkdirSync(join(context, 'files'), { recursive: true });
  writeFileSync(join(context, 'files', 'data'), 'data of the context\n');
  writeFileSync(
    join(context, 'Dockerfile'),
    [
      `FROM ${slipway.registry}/library/busybox`,
      'COPY --chown=7:8 files /files',
      'RUN ln /files/data /files/hard && ln -s data /files/soft && chmod 4755 /bin/busybox && rm /etc/group',
      'RUN rm -r /files/soft && mkdir -p /deep/er && echo below > /deep/er/file',
      'ENV GREETING="hello there"',
      'WORKDIR /deep',
      'ENTRYPOINT ["/bin/sh", "-c"]',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: for the shell in the container
      'CMD ["echo ${GREETING}; pwd; cat er/file; ls -ln /files; ls -l /bin/busybox | cut -c1-10; test -e /etc/group || echo gone"]',
      '',
    ].join('\n'),
  );
  return context;
}

it('a real engine pulls and runs an image that Slipway built', async () => {
  const name = `${slipway.registry}/interop/ours`;
  await slipway.dockerOk('build', '-t', name, writeContext('ours'));
  await slipway.dockerOk('push', name);
  const here = await slipway.dockerOk('run', '--rm', '--network', 'none', name);

  const pulled = await dockerd.dockerOk('pull', name);
  expect(pulled).toContain(`Status: Downloaded newer image for ${name}:latest`);
  const there = await dockerd.dockerOk('run', '--rm', '--network', 'none', name);
  expect(there).toBe(here);
  expect(here).toContain('hello there\n/deep\nbelow\n');
  expect(here).toContain('-rwsr-xr-x');
  expect(here).toMatch(/2 7 +8 .*data\n/);
  expect(here).toMatch(/gone$/);
  expect(await dockerd.dockerOk('image', 'inspect', '-f', '{{.Id}}', name)).toBe(
    await slipway.dockerOk('image', 'inspect', '-f', '{{.Id}}', name),
  );
});

it('Slipway pulls and runs an image that a real engine built', async () => {
  const name = `${slipway.registry}/interop/theirs`;
  // Without a network of its own a step of that engine runs on none.
  await dockerd.dockerOk('build', '--network', 'none', '-t', name, writeContext('theirs'));
  await dockerd.dockerOk('push', name);
  const there = await dockerd.dockerOk('run', '--rm', '--network', 'none', name);

  await slipway.dockerOk('pull', name);
  expect(await slipway.dockerOk('run', '--rm', name)).toBe(there);
  expect(there).toContain('hello there\n/deep\nbelow\n');
  expect(await slipway.dockerOk('image', 'inspect', '-f', '{{.Id}}', name)).toBe(
    await dockerd.dockerOk('image', 'inspect', '-f', '{{.Id}}', name),
  );
});

it('archives of docker save are loaded by the other', async () => {
  const name = `${slipway.registry}/interop/archived`;
  await slipway.dockerOk('build', '-t', name, writeContext('archived'));
  const file = join(slipway.folder, 'ours.tar');
  await slipway.dockerOk('save', '-o', file, name);
  expect(await dockerd.dockerOk('load', '-i', file)).toContain(`Loaded image: ${name}:latest`);
  const output = await dockerd.dockerOk('run', '--rm', '--network', 'none', name);

  const back = join(slipway.folder, 'theirs.tar');
  await dockerd.dockerOk('save', '-o', back, name);
  await slipway.dockerOk('rmi', '-f', name);
  expect(await slipway.dockerOk('load', '-i', back)).toContain(`Loaded image: ${name}:latest`);
  expect(await slipway.dockerOk('run', '--rm', name)).toBe(output);
});
