import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

let slipway: Slipway;
let clients: Clients;
let context: string;
let address: string;

beforeAll(async () => {
  slipway = await startSlipway({ buildkit: true });
  address = slipway.buildkit;
  clients = createClients(`unix://${slipway.socket}`);
  await clients.buildx(['create', '--name', 'remote', '--driver', 'remote', address]);
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  context = join(slipway.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'file'), 'contents');
  writeFileSync(join(context, 'secret'), 'hush');
  writeFileSync(join(context, '.dockerignore'), 'secret\n');
  writeFileSync(
    join(context, 'Dockerfile'),
    `FROM busybox AS base
RUN --mount=type=secret,id=token test "$(cat /run/secrets/token)" = hush && echo made > /made
COPY file /file
FROM scratch AS files
COPY --from=base /made /file /
FROM base
CMD ["cat", "/made", "/file"]
`,
  );
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await slipway?.[Symbol.asyncDispose]();
});

describe.each(['default', 'remote'])('buildx with builder %s', (builder) => {
  const build = (...args: string[]) => {
    const secret = ['--secret', `id=token,src=${join(context, 'secret')}`];
    return clients.buildx([
      'build',
      '--builder',
      builder,
      '--progress',
      'plain',
      ...secret,
      ...args,
      context,
    ]);
  };

  it('builds an image that runs', async () => {
    const built = await build('--load', '--tag', `${builder}:1`);
    expect(built.stderr).not.toContain('ERROR');
    expect(await slipway.dockerOk('run', '--rm', `${builder}:1`)).toBe('made\ncontents');
  });

  it('runs nothing again', async () => {
    const { stderr } = await build();
    expect(stderr).toMatch(/RUN --mount=type=secret.*\n#\d+ CACHED/);
    expect(stderr).toMatch(/COPY file \/file\n#\d+ CACHED/);
  });

  it('pushes', async () => {
    const name = `${slipway.registry}/team/${builder}:1`;
    expect(await build('--push', '--tag', name)).toSucceed();
    const { stdout } = await clients.buildx(['imagetools', 'inspect', name]);
    expect(stdout).toContain(`Name:      ${name}`);
    const format = ['--format', '{{json .Provenance.SLSA.buildDefinition.externalParameters.request}}'];
    const provenance = await clients.buildx(['imagetools', 'inspect', name, ...format]);
    expect(JSON.parse(provenance.stdout)).toMatchObject({
      frontend: 'dockerfile.v0',
      locals: [{ name: 'context' }, { name: 'dockerfile' }],
    });
  });

  it('gets files', async () => {
    const dest = join(slipway.folder, `out-${builder}`);
    expect(await build('--target', 'files', '--output', `type=local,dest=${dest}`)).toSucceed();
    expect(readdirSync(dest).sort()).toEqual(['file', 'made']);
    expect(readFileSync(join(dest, 'made'), 'utf8')).toBe('made\n');
  });

  it('has steps use what is asked for', async () => {
    const file = join(slipway.folder, 'Dockerfile.limits');
    const group = `slipway-buildx-${builder}`;
    const shown = `df -k /dev/shm | tail -1; ulimit -n; grep -c ${group} /proc/self/cgroup`;
    writeFileSync(file, `FROM busybox\nRUN ${shown}\n`);
    const limits = ['--shm-size', '3m', '--ulimit', 'nofile=77:77', '--cgroup-parent', `/${group}`];
    try {
      const built = await build('--no-cache', ...limits, '--file', file);
      expect(built).toSucceed();
      expect(built.stderr).toMatch(/(?:tmpfs|shm) +3072 .*\n#\d+ [\d.]+ 77\n#\d+ [\d.]+ [1-9]/);
    } finally {
      removeGroup(group);
    }
  });

  it('shows where a build failed', async () => {
    const { code, stderr } = await build('--secret', 'id=token,src=/dev/null', '--no-cache');
    expect(code).toBe(1);
    expect(stderr).toContain('   2 | >>> RUN --mount=type=secret,id=token test');
    expect(stderr).toMatch(
      /ERROR: failed to build: failed to solve: process ".*" did not complete successfully: exit code: 1/,
    );
  });
});

it('keeps what a build was made of with its record', async () => {
  const inspected = ['--builder', 'remote'];
  const name = `${slipway.registry}/team/recorded:1`;
  const secret = ['--secret', `id=token,src=${join(context, 'secret')}`];
  const build = await clients.buildx(['build', ...inspected, ...secret, '--push', '--tag', name, context]);
  expect(build.code, build.stderr).toBe(0);
  const history = async (...args: string[]) => {
    const { code, stdout, stderr } = await clients.buildx(['history', ...args, ...inspected]);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  const attachment = async (type: string) =>
    JSON.parse(await history('inspect', 'attachment', '--type', type));
  expect(await history('inspect')).toMatch(/pkg:docker\/busybox@latest[\s\S]*provenance\/v1/);
  const { buildDefinition } = await attachment('provenance');
  expect(buildDefinition.externalParameters.request.secrets).toMatchObject([{ id: 'token' }]);
  const [image] = (await attachment('index')).manifests;
  expect(await attachment('manifest')).toMatchObject({ config: { mediaType: expect.any(String) } });
  expect(image.platform.os).toBe('linux');
  const bundle = join(slipway.folder, 'build.dockerbuild');
  await history('export', '--output', bundle);
  const layout = spawnSync('tar', ['-xzf', bundle, '-O', 'index.json'], { encoding: 'utf8' }).stdout;
  expect(JSON.parse(layout).manifests).toHaveLength(1);
  const broken = ['--secret', 'id=token,src=/dev/null', '--no-cache', context];
  const failed = await clients.buildx(['build', ...inspected, ...broken]);
  expect(failed.code).toBe(1);
  expect(await history('inspect')).toMatch(/Error:.*exit code: 1[\s\S]*>>> RUN/);
});

it('takes a context, or a Dockerfile alone, from standard input', async () => {
  const archive = spawnSync('tar', ['-cz', '-C', context, 'file', 'Dockerfile']).stdout;
  const build = (name: string, ...args: string[]) => {
    const dest = join(slipway.folder, name);
    const output = ['--output', `type=local,dest=${dest}`];
    return { dest, args: ['build', '--builder', 'remote', ...args, ...output, '-'] };
  };
  const whole = build('from-tar', '--target', 'files', '--secret', `id=token,src=${join(context, 'secret')}`);
  const built = await clients.buildx(whole.args, { input: archive });
  expect(built.code, built.stderr).toBe(0);
  expect(readFileSync(join(whole.dest, 'file'), 'utf8')).toBe('contents');
  const alone = build('from-stdin');
  expect(await clients.buildx(alone.args, { input: 'FROM scratch\nWORKDIR /made\n' })).toMatchObject({
    code: 0,
  });
  expect(readdirSync(alone.dest)).toEqual(['made']);
});

it('puts what is stated of files beside them', async () => {
  const dest = join(slipway.folder, 'stated');
  const stated = ['--provenance', 'mode=max', '--target', 'files', '--secret'];
  const build = (output: string) =>
    clients.buildx([
      ...['build', '--builder', 'remote', ...stated, `id=token,src=${join(context, 'secret')}`],
      ...['--output', output, context],
    ]);
  const local = await build(`type=local,dest=${dest},attestation-prefix=its-,platform-split=true`);
  expect(local.code, local.stderr).toBe(0);
  const [platform] = readdirSync(dest);
  const files = join(dest, platform!);
  expect(readdirSync(files).sort()).toEqual(['file', 'its-provenance.json', 'made']);
  const { subject, predicateType } = JSON.parse(readFileSync(join(files, 'its-provenance.json'), 'utf8'));
  const sha256 = createHash('sha256').update('contents').digest('hex');
  expect(subject).toEqual([
    { name: 'file', digest: { sha256 } },
    { name: 'made', digest: expect.any(Object) },
  ]);
  expect(predicateType).toBe('https://slsa.dev/provenance/v1');
  const archive = join(slipway.folder, 'stated.tar');
  const tar = await build(`type=tar,dest=${archive}`);
  expect(tar.code, tar.stderr).toBe(0);
  const listed = spawnSync('tar', ['-tf', archive], { encoding: 'utf8' }).stdout;
  expect(listed.trim().split('\n').sort()).toEqual(['file', 'made', 'provenance.json']);
});

it('writes images into a directory of the client, and builds on them', async () => {
  const layout = join(slipway.folder, 'layout');
  const secret = ['--secret', `id=token,src=${join(context, 'secret')}`];
  const output = ['--output', `type=oci,tar=false,dest=${layout}`];
  const args = ['build', '--builder', 'remote', '--provenance', 'mode=max'];
  const stored = await clients.buildx([...args, ...secret, ...output, context]);
  expect(stored.code, stored.stderr).toBe(0);
  const [image] = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')).manifests;
  const blob = (digest: string) =>
    JSON.parse(readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'utf8'));
  const [manifest, attestation] = blob(image.digest).manifests;
  expect(blob(manifest.digest).layers.length).toBeGreaterThan(2);
  expect(attestation.annotations['vnd.docker.reference.digest']).toBe(manifest.digest);
  const dest = join(slipway.folder, 'from-layout');
  const onIt = [
    '--build-context',
    `before=oci-layout://${layout}`,
    '--output',
    `type=local,dest=${dest}`,
    '-',
  ];
  const input = 'FROM scratch\nCOPY --from=before /made /file /\n';
  const built = await clients.buildx(['build', '--builder', 'remote', ...onIt], { input });
  expect(built.code, built.stderr).toBe(0);
  expect(readdirSync(dest).sort()).toEqual(['file', 'made']);
});

it.each(['type=oci', 'type=docker', 'type=oci,compression=zstd,force-compression=true'])(
  'makes one image of two cold builds, with SOURCE_DATE_EPOCH: %s',
  async (kind) => {
    const metadata = join(slipway.folder, 'metadata.json');
    const archive = join(slipway.folder, 'reproduced.tar');
    const secret = ['--secret', `id=token,src=${join(context, 'secret')}`];
    const epoch = ['--build-arg', 'SOURCE_DATE_EPOCH=1700000000', '--provenance=false', '--no-cache'];
    const build = async () => {
      const output = ['--output', `${kind},dest=${archive},rewrite-timestamp=true`];
      const args = ['build', '--builder', 'remote', ...secret, ...epoch, ...output];
      const { code, stderr } = await clients.buildx([...args, '--metadata-file', metadata, context]);
      expect(code, stderr).toBe(0);
      const { 'containerimage.digest': digest } = JSON.parse(readFileSync(metadata, 'utf8'));
      return [digest, createHash('sha256').update(readFileSync(archive)).digest('hex')];
    };
    const first = await build();
    // Files' times are seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await build()).toEqual(first);
  },
);

it('attaches a list of packages, and says what it keeps', async () => {
  const name = `${slipway.registry}/team/listed:1`;
  const dockerfile =
    'FROM busybox\nCOPY <<EOF /lib/apk/db/installed\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\nEOF\n';
  const args = ['build', '--builder', 'remote', '--sbom=true', '--push', '--tag', name, '-'];
  const built = await clients.buildx(args, { input: dockerfile });
  expect(built.code, built.stderr).toBe(0);
  const format = ['--format', '{{json .SBOM.SPDX}}'];
  const sbom = JSON.parse((await clients.buildx(['imagetools', 'inspect', name, ...format])).stdout);
  expect(sbom.spdxVersion).toBe('SPDX-2.3');
  const [reference] = sbom.packages.find((one: { name: string }) => one.name === 'musl').externalRefs;
  expect(reference.referenceLocator).toMatch(/^pkg:apk\/.*musl@1\.2\.5-r0\?arch=x86_64/);
  const worker = await clients.buildx(['inspect', 'remote']);
  expect(worker.stdout).toMatch(/BuildKit version:\s+v0[\s\S]*GC Policy rule#0/);
});

it('is what compose builds with', async () => {
  const file = join(slipway.folder, 'compose.yaml');
  const dockerfile = 'FROM busybox\nCOPY file /file\nCMD ["cat", "/file"]\n';
  const service = { build: { context, dockerfile_inline: dockerfile }, image: 'composed:1' };
  writeFileSync(file, JSON.stringify({ services: { web: service } }));
  const built = await clients.docker(['compose', '--file', file, 'build']);
  expect(built.code, built.stderr).toBe(0);
  expect(await slipway.dockerOk('run', '--rm', 'composed:1')).toBe('contents');
});

it('builds for buildctl', async () => {
  const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
  const args = ['build', '--frontend', 'dockerfile.v0', ...local, '--opt', 'target=base', '--secret'];
  const { code, stderr } = await clients.buildctl(address, [
    ...args,
    `id=token,src=${join(context, 'secret')}`,
  ]);
  expect(code, stderr).toBe(0);
});

it('lets go of the connections of clients that are gone', async () => {
  const connections = () => {
    const folders = slipway.enginePids.map((pid) => `/proc/${pid}/fd`);
    const files = folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
    return files.filter(isSocket).length;
  };
  const before = connections();
  const args = ['build', '--target', 'files', '--secret', `id=token,src=${join(context, 'secret')}`, context];
  for (let times = 0; times < 3; times++) expect(await clients.buildx(args)).toSucceed();
  await expect.poll(connections, { timeout: 60_000 }).toBeLessThanOrEqual(before);
});

/** Folders of a control group that a client has chosen stay. */
function removeGroup(name: string): void {
  for (const controller of ['', ...readdirSync('/sys/fs/cgroup')]) {
    const folder = join('/sys/fs/cgroup', controller, name);
    if (existsSync(folder)) rmdirSync(folder);
  }
}

function isSocket(link: string): boolean {
  try {
    return readlinkSync(link).startsWith('socket:');
  } catch {
    return false;
  }
}
