import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { seedImages } from '../images/stand-ins.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

// What buildx can do beside `build`: bake, imagetools, du, prune, history, --call, and files about a build.

const DOCKERFILE = `# What it is for.
ARG VERSION=1
FROM busybox AS base
ARG VERSION
RUN echo "version $VERSION" > /version
FROM base AS test
RUN cat /version
FROM base
CMD cat /version
`;

let slipway: Slipway;
let clients: Clients;
let context: string;

beforeAll(async () => {
  slipway = await startSlipway({ buildkit: true });
  await seedImages(slipway.registry, ['busybox']);
  clients = createClients(`unix://${slipway.socket}`);
  await clients.buildx(['create', '--name', 'remote', '--driver', 'remote', slipway.buildkit]);
  context = join(slipway.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), DOCKERFILE);
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await slipway?.[Symbol.asyncDispose]();
});

async function buildx(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await clients.buildx(args);
  expect(code, `buildx ${args.join(' ')}:\n${stderr}`).toBe(0);
  return stdout;
}

describe.each(['default', 'remote'])('with builder %s', (builder) => {
  const on = ['--builder', builder];

  it('builds of what policies allow', async () => {
    const busybox = 'docker-image://docker.io/library/busybox:';
    const build = async (name: string, rules: readonly object[], from: string) => {
      const policy = join(slipway.folder, `${builder}-${name}.json`);
      writeFileSync(policy, JSON.stringify({ rules }));
      const options = {
        env: { ...clients.env, EXPERIMENTAL_BUILDKIT_SOURCE_POLICY: policy },
        input: `FROM ${from}\nRUN echo ${builder} ${name}\n`,
      };
      return clients.buildx(['build', ...on, '--progress=plain', '-'], options);
    };
    const deny = { action: 'DENY', selector: { identifier: `${busybox}*` } };
    const denied = await build('deny', [deny], 'busybox');
    expect(denied.code).not.toBe(0);
    expect(denied.stderr).toContain(`source "${busybox}latest" denied by policy`);
    const convert = {
      action: 'CONVERT',
      selector: { identifier: 'docker-image://docker.io/library/nowhere:*' },
      updates: { identifier: `${busybox}latest` },
    };
    const converted = await build('convert', [convert], 'nowhere:1');
    expect(converted.code, converted.stderr).toBe(0);
    expect(converted.stderr).toContain('FROM docker.io/library/busybox:latest@sha256:');
  });

  it('writes what a build came to into files', async () => {
    const [metadata, id] = ['metadata', 'id'].map((name) => join(slipway.folder, `${builder}-${name}`)) as [
      string,
      string,
    ];
    const name = `${slipway.registry}/team/${builder}-files:1`;
    const files = ['--metadata-file', metadata, '--iidfile', id, '--annotation', 'org.example.a=b'];
    await buildx('build', ...on, ...files, '--push', '--tag', name, context);
    const written = JSON.parse(readFileSync(metadata, 'utf8'));
    expect(written['image.name']).toBe(name);
    expect(written['buildx.build.ref']).toMatch(new RegExp(`^${builder}/`));
    expect(
      written['buildx.build.provenance'].predicateType ?? written['buildx.build.provenance'],
    ).toBeDefined();
    expect(written['containerimage.descriptor'].digest).toBe(written['containerimage.digest']);
    expect(readFileSync(id, 'utf8')).toBe(written['containerimage.digest']);
    const raw = JSON.parse(await buildx('imagetools', 'inspect', '--raw', name));
    const image = raw.manifests[0].digest;
    const manifest = JSON.parse(await buildx('imagetools', 'inspect', '--raw', `${name}@${image}`));
    expect(manifest.annotations).toEqual({ 'org.example.a': 'b' });
  });

  it('checks, outlines, and lists targets without building', async () => {
    const check = await clients.buildx(['build', ...on, '--call', 'check', context]);
    expect(check.stdout + check.stderr).toContain('JSONArgsRecommended');
    const outline = await buildx('build', ...on, '--call', 'outline,format=json', context);
    expect(JSON.parse(outline).args).toMatchObject([{ name: 'VERSION', value: '1' }]);
    const targets = await buildx('build', ...on, '--call', 'targets,format=json', context);
    expect(JSON.parse(targets).targets.map(({ name }: { name?: string }) => name)).toEqual([
      'base',
      'test',
      undefined,
    ]);
  });

  it('bakes targets on each other', async () => {
    const file = join(slipway.folder, `${builder}-bake.json`);
    const names = ['one', 'two'].map((name) => `${slipway.registry}/team/${builder}-${name}:1`);
    const bake = {
      group: { default: { targets: ['one', 'two'] } },
      target: {
        one: { context, args: { VERSION: '2' }, tags: [names[0]], output: ['type=registry'] },
        two: {
          context,
          'dockerfile-inline': 'FROM first\nRUN grep "version 2" /version && touch /two\n',
          contexts: { first: 'target:one' },
          tags: [names[1]],
          output: ['type=registry'],
        },
      },
    };
    writeFileSync(file, JSON.stringify(bake));
    const metadata = join(slipway.folder, `${builder}-bake-metadata`);
    await buildx(
      'bake',
      ...on,
      '--allow',
      `fs.read=${slipway.folder}`,
      '--metadata-file',
      metadata,
      '--file',
      file,
    );
    const { one, two } = JSON.parse(readFileSync(metadata, 'utf8'));
    expect([one['image.name'], two['image.name']]).toEqual(names);
    const printed = JSON.parse(await buildx('bake', ...on, '--file', file, '--print'));
    expect(printed.target.two.contexts).toEqual({ first: 'target:one' });
  });

  it('tells of what it keeps, and lets go of it', async () => {
    await buildx('build', ...on, '--output', 'type=cacheonly', '--no-cache', context);
    expect(await buildx('du', ...on)).toMatch(/Reclaimable:[\s\S]*Total:/);
    const verbose = await buildx('du', ...on, '--verbose');
    expect(verbose).toMatch(/Description:\s+\[base 2\/2\] RUN echo "version/);
    expect(await buildx('prune', ...on, '--all', '--force')).toMatch(/Total:\s+[\d.]+\w+/);
    expect(await buildx('du', ...on)).not.toContain('version');
  });
});

it('puts images together, attestations and all', async () => {
  const name = `${slipway.registry}/team/platforms:1`;
  const dockerfile = join(context, 'Platforms');
  writeFileSync(
    dockerfile,
    'FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n',
  );
  const platforms = ['--platform', 'linux/amd64,linux/arm64', '--provenance', 'mode=max', '--sbom=true'];
  const build = ['build', '--builder', 'remote', ...platforms, '--file', dockerfile];
  await buildx(...build, '--push', '--tag', name, context);
  const shown = await buildx('imagetools', 'inspect', name);
  expect(shown).toMatch(/linux\/amd64[\s\S]*linux\/arm64[\s\S]*attestation-manifest/);
  const provenance = JSON.parse(
    await buildx('imagetools', 'inspect', name, '--format', '{{json .Provenance}}'),
  );
  expect(Object.keys(provenance).sort()).toEqual(['linux/amd64', 'linux/arm64']);
  const sbom = JSON.parse(await buildx('imagetools', 'inspect', name, '--format', '{{json .SBOM}}'));
  expect(sbom['linux/arm64'].SPDX.spdxVersion).toBe('SPDX-2.3');
  const copied = `${slipway.registry}/other/copied:1`;
  await buildx('imagetools', 'create', '--tag', copied, name);
  const raw = async (reference: string) =>
    JSON.parse(await buildx('imagetools', 'inspect', '--raw', reference));
  expect((await raw(copied)).manifests).toEqual((await raw(name)).manifests);
  const appended = `${slipway.registry}/team/platforms:2`;
  await buildx('imagetools', 'create', '--annotation', 'index:org.example.a=b', '--tag', appended, name);
  expect((await raw(appended)).annotations).toEqual({ 'org.example.a': 'b' });
});

it('tells of builds as they come, whoever does them', async () => {
  const over = new AbortController();
  let told = '';
  const onOutput = (text: string) => {
    told += text;
  };
  const options = { signal: over.signal, onOutput };
  const listening = clients.buildctl(slipway.buildkit, ['debug', 'monitor'], options).catch(() => undefined);
  const metadata = join(slipway.folder, 'monitored');
  const build = async (times: number) => {
    const args = ['--build-arg', `VERSION=monitored-${times}`, '--metadata-file', metadata];
    await buildx('build', '--builder', 'remote', ...args, '--output', 'type=cacheonly', context);
    return JSON.parse(readFileSync(metadata, 'utf8'))['buildx.build.ref'].split('/').at(-1) as string;
  };
  let builds = 0;
  const isTold = async () => {
    const reference = await build(++builds);
    return told.includes(reference);
  };
  // It may not listen yet.
  await expect.poll(isTold).toBe(true);
  const reference = await build(++builds);
  await expect.poll(() => told).toContain(reference);
  over.abort();
  await listening;
});

it('remembers builds: lists, inspects, follows, traces, hands over and forgets them', async () => {
  const on = ['--builder', 'remote'];
  await buildx(
    'build',
    ...on,
    '--no-cache',
    '--build-arg',
    'VERSION=history',
    '--output',
    'type=cacheonly',
    context,
  );
  const listed = (await buildx('history', 'ls', ...on, '--format', 'json')).trim().split('\n');
  const [latest] = listed.map((line) => JSON.parse(line));
  const ref = latest.ref.split('/').at(-1);
  expect(latest).toMatchObject({ status: 'Completed' });
  const inspected = JSON.parse(await buildx('history', 'inspect', ref, ...on, '--format', 'json'));
  expect(inspected).toMatchObject({
    Status: 'completed',
    BuildArgs: [{ Name: 'VERSION', Value: 'history' }],
  });
  const logs = await clients.buildx(['history', 'logs', ref, ...on, '--progress', 'plain']);
  expect(logs.stdout + logs.stderr).toContain('RUN echo "version history"');
  const attachment = await buildx('history', 'inspect', 'attachment', ref, ...on, '--type', 'provenance');
  expect(JSON.parse(attachment).buildDefinition.externalParameters.request.args).toMatchObject({
    'build-arg:VERSION': 'history',
  });
  const bundle = join(slipway.folder, 'history.dockerbuild');
  await buildx('history', 'export', ref, ...on, '--output', bundle);
  expect(readFileSync(bundle).length).toBeGreaterThan(0);
  const { data } = JSON.parse(await buildx('history', 'trace', ref, ...on));
  expect(data[0].spans.map(({ operationName }: { operationName: string }) => operationName)).toEqual(
    expect.arrayContaining(['build', '[internal] load build definition from Dockerfile']),
  );
  await buildx('history', 'rm', ref, ...on);
  expect(await buildx('history', 'ls', ...on)).not.toContain(ref);
});
