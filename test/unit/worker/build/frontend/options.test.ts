import { describe, expect, test } from 'vitest';
import { readBuildOptions } from '#worker/build/frontend/options/build-options.ts';
import { build } from './fake-bridge.ts';
import { configOf, historyOf, lastExec, mountAt, names, verticesOf } from './graph-text.ts';

const RUN = 'FROM busybox AS base\nRUN x\n';
const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes!).toString();

describe('what every RUN gets', () => {
  test('hosts, limits, shared memory, a name, a cgroup, a network', async () => {
    const result = await build({
      dockerfile: RUN,
      options: {
        'add-hosts': 'db=10.0.0.1,V6=::1',
        ulimit: 'nofile=10:20,nproc=5',
        'shm-size': '65536',
        'build-arg:BUILDKIT_SANDBOX_HOSTNAME': 'sandbox',
        'cgroup-parent': '/mine',
        'force-network-mode': 'host',
      },
    });
    expect(lastExec(result)).toMatchObject({
      extraHosts: [
        { host: 'db', ip: '10.0.0.1' },
        { host: 'v6', ip: '::1' },
      ],
      ulimits: [
        { name: 'nofile', soft: 10, hard: 20 },
        { name: 'nproc', soft: 5, hard: 5 },
      ],
      hostname: 'sandbox',
      cgroupParent: '/mine',
      network: 'host',
    });
    expect(mountAt(lastExec(result), '/dev/shm')).toEqual({ type: 'tmpfs', dest: '/dev/shm', size: 65536 });
  });

  test('proxies in both cases, which no environment and no history shows', async () => {
    const result = await build({ dockerfile: RUN, options: { 'build-arg:HTTPS_PROXY': 'http://p' } });
    expect(lastExec(result).proxyEnv).toEqual(['HTTPS_PROXY=http://p', 'https_proxy=http://p']);
    expect(lastExec(result).env).toEqual(['PATH=/bin']);
    expect(historyOf(result)).toEqual(['RUN /bin/sh -c x # buildkit']);
  });
});

describe('no-cache', () => {
  const ignored = async (value: string) => {
    const result = await build({
      dockerfile: 'FROM busybox AS a\nRUN x\nFROM a AS b\nRUN y\nCOPY --link c d\n',
      options: { 'no-cache': value },
    });
    const all = verticesOf(result.refs.get(''));
    return all.filter(({ metadata }) => metadata.ignoreCache).map(({ metadata }) => metadata.name);
  };

  test('for all stages', async () => {
    expect(await ignored('')).toEqual([
      '[a 2/2] RUN x',
      '[b 1/2] RUN y',
      '[b 2/2] COPY --link c d',
      '[b 2/2] LINK COPY --link c d',
    ]);
  });

  test('for some', async () => {
    expect(await ignored('A')).toEqual(['[a 2/2] RUN x']);
  });
});

describe('several platforms', () => {
  test('have a graph and a configuration each', async () => {
    const result = await build({ dockerfile: RUN, options: { platform: 'linux/amd64,linux/arm/v7' } });
    expect([...result.refs.keys()]).toEqual(['linux/amd64', 'linux/arm/v7']);
    expect(names(result, 'linux/arm/v7')[1]).toBe('[linux/arm/v7 2/2] RUN x');
    expect(configOf(result, 'linux/arm/v7')).toMatchObject({ architecture: 'arm', variant: 'v7' });
    expect(JSON.parse(text(result.metadata.get('refs.platforms')))).toEqual({
      Platforms: [
        { ID: 'linux/amd64', Platform: { os: 'linux', architecture: 'amd64' } },
        { ID: 'linux/arm/v7', Platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
      ],
    });
    expect(result.metadata.has('containerimage.base.config/linux/amd64')).toBe(true);
  });

  test('one may be keyed as well', async () => {
    const result = await build({
      dockerfile: RUN,
      options: { platform: 'linux/arm64', 'build-arg:BUILDKIT_MULTI_PLATFORM': 'true' },
    });
    expect([...result.refs.keys()]).toEqual(['linux/arm64']);
  });

  test('and may not be made one', () => {
    const options = { platform: 'linux/amd64,linux/arm64', 'multi-platform': 'false' };
    expect(() => readBuildOptions(options)).toThrow('conflicting config');
  });

  test('a stage may stay on the platform of the builder', async () => {
    const result = await build({
      dockerfile:
        'FROM --platform=$BUILDPLATFORM busybox AS tools\nARG TARGETARCH\nRUN x $TARGETARCH\nFROM busybox\nCOPY --from=tools /x /\n',
      options: { platform: 'linux/arm64', 'multi-platform': '1' },
    });
    const [image, run] = verticesOf(result.refs.get('linux/arm64')).filter(({ metadata }) =>
      metadata.name.includes('tools'),
    );
    expect(image?.platform).toEqual({ os: 'linux', architecture: 'amd64' });
    expect(run?.metadata.name).toBe('[linux/amd64->arm64 tools 2/2] RUN x arm64');
    expect(run?.platform).toEqual({ os: 'linux', architecture: 'amd64' });
  });
});

test('SOURCE_DATE_EPOCH is the time of history, of directories and of the result', async () => {
  const result = await build({
    dockerfile: 'FROM busybox\nWORKDIR /w\n',
    options: { 'build-arg:SOURCE_DATE_EPOCH': '1600000000' },
  });
  expect(configOf(result).history?.at(-1)?.created).toBe('2020-09-13T12:26:40Z');
  expect(text(result.metadata.get('source.date.epoch'))).toBe('1600000000');
  const [, made] = verticesOf(result.refs.get(''));
  expect(made?.op).toMatchObject({ actions: [{ timestamp: 1_600_000_000_000_000_000n }] });
});

test('labels that were asked for come last', async () => {
  const result = await build({
    dockerfile: 'FROM busybox\nLABEL a=1 b=2\n',
    options: { 'label:a': '3', 'label:__proto__': 'x' },
  });
  expect(Object.entries(configOf(result).config?.Labels ?? {})).toEqual([
    ['__proto__', 'x'],
    ['a', '3'],
    ['b', '2'],
  ]);
});

test.each([
  [{ platform: 'linux/amd64/v1/x' }, 'failed to parse target platform linux/amd64/v1/x'],
  [{ 'image-resolve-mode': 'never' }, 'invalid image-resolve-mode: never'],
  [{ 'add-hosts': 'a' }, 'invalid key-value pair a'],
  [{ 'add-hosts': 'a=b' }, 'failed to parse IP b'],
  [{ 'shm-size': 'x' }, 'failed to parse shm size'],
  [{ ulimit: 'nofile' }, 'invalid ulimit argument: nofile'],
  [{ ulimit: 'nofile=9:1' }, 'soft limit must be less than or equal to hard limit'],
  [{ 'force-network-mode': 'x' }, 'invalid netmode x'],
  [{ 'multi-platform': 'maybe' }, 'invalid boolean value for multi-platform: maybe'],
])('%j is refused', (options, message) => {
  expect(() => readBuildOptions(options)).toThrow(message);
});

test('warnings are told with their rule and line, and may fail the build', async () => {
  const dockerfile = 'FROM busybox\nCMD echo $NOPE\n';
  const { warnings } = await build({ dockerfile });
  expect(warnings).toEqual([
    'JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 2)',
  ]);
  const failing = build({ dockerfile, options: { 'build-arg:BUILDKIT_DOCKERFILE_CHECK': 'error=true' } });
  await expect(failing).rejects.toThrow('lint violation found for rules: JSONArgsRecommended');
});

test('two platforms warn once', async () => {
  const { warnings } = await build({
    dockerfile: 'FROM busybox\nCMD x\n',
    options: { platform: 'linux/amd64,linux/arm64' },
  });
  expect(warnings).toHaveLength(1);
});

describe('subrequests', () => {
  const ask = async (requestid: string, dockerfile: string, more = {}) => {
    const result = await build({ dockerfile, options: { requestid, ...more } });
    return JSON.parse(text(result.metadata.get('result.json')));
  };

  test('targets', async () => {
    const { targets } = await ask('frontend.targets', '# a tools\nFROM busybox AS a\nFROM a\n');
    expect(targets.map((target: { base: string }) => target.base)).toEqual(['busybox', 'a']);
  });

  test('outline', async () => {
    const outline = await ask(
      'frontend.outline',
      'ARG V=latest\nFROM busybox:$V AS one\nARG X=1\nRUN --mount=type=secret,id=s,required --mount=type=ssh x\n',
      { 'build-arg:V': 'latest' },
    );
    expect(outline).toMatchObject({
      name: 'one',
      args: [
        { name: 'V', value: 'latest' },
        { name: 'X', value: '1' },
      ],
      secrets: [{ name: 's', required: true }],
      ssh: [{ name: 'default' }],
    });
  });

  test('lint looks at all stages, and says why the build would fail', async () => {
    const lint = await ask('frontend.lint', 'FROM busybox AS a\nCMD x\nFROM scratch\nEXPOSE 99999\n');
    expect(lint.warnings.map(({ ruleName }: { ruleName: string }) => ruleName)).toEqual([
      'JSONArgsRecommended',
    ]);
    expect(lint.buildError.message).toBe('invalid containerPort: 99999');
  });

  test('an unknown one', async () => {
    await expect(ask('frontend.convert', 'FROM scratch\n')).rejects.toThrow(
      'unsupported request frontend.convert',
    );
  });
});
