import { describe, expect, test } from 'vitest';
import { build } from './fake-bridge.ts';
import { configOf, historyOf, lastExec, names, opOf, sourceAttrs, vertexNamed } from './graph-text.ts';

describe('a Dockerfile of one stage', () => {
  test('becomes a chain of vertices with the names that progress shows', async () => {
    const result = await build({
      dockerfile: 'FROM busybox\nENV A=1\nRUN echo $A\nCOPY a b /c/\nWORKDIR /w\n',
    });
    const base = expect.stringMatching(/^\[1\/4\] FROM docker\.io\/library\/busybox:latest@sha256:/);
    expect(names(result)).toEqual([
      base,
      '[2/4] RUN echo 1',
      '[internal] load build context',
      '[3/4] COPY a b /c/',
      '[4/4] WORKDIR /w',
    ]);
    expect(result.solved.map(({ metadata }) => metadata.name)).toEqual([
      '[internal] load build definition from Dockerfile',
      '[internal] load .dockerignore',
    ]);
    expect(result.resolved.map(({ name }) => name)).toEqual([
      '[internal] load metadata for docker.io/library/busybox:latest',
    ]);
  });

  test('a RUN gets the environment, the directory and the user that its stage has come to', async () => {
    const result = await build({
      dockerfile: 'FROM busybox\nENV A=1 B=2\nENV A=3\nUSER me\nWORKDIR /w\nRUN ["make", "all"]\n',
    });
    expect(lastExec(result)).toMatchObject({
      args: ['make', 'all'],
      env: ['PATH=/bin', 'B=2', 'A=3'],
      cwd: '/w',
      user: 'me',
      network: 'default',
      security: 'sandbox',
      removeMountStubsRecursive: true,
    });
  });

  test('the image has the configuration and the history that BuildKit would write', async () => {
    const result = await build({
      dockerfile: 'FROM busybox\nENV A=1\nRUN echo hi\nCOPY a /b\nWORKDIR /w\nCMD ["x", "y z"]\n',
    });
    expect(configOf(result)).toMatchObject({
      architecture: 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/bin', 'A=1'], Cmd: ['x', 'y z'], WorkingDir: '/w' },
    });
    expect(configOf(result).created).toBeUndefined();
    expect(historyOf(result)).toEqual([
      'ENV A=1 (empty)',
      'RUN /bin/sh -c echo hi # buildkit',
      'COPY a /b # buildkit',
      'WORKDIR /w',
      'CMD ["x" "y z"] (empty)',
    ]);
    expect(configOf(result).history?.[1]?.comment).toBe('buildkit.dockerfile.v0');
  });

  test('FROM scratch with nothing in it is no files at all', async () => {
    const result = await build({ dockerfile: 'FROM scratch\nLABEL a=b\n' });
    expect(result.refs.get('')).toBeUndefined();
    expect(configOf(result).config).toEqual({
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      WorkingDir: '/',
      Labels: { a: 'b' },
    });
  });
});

describe('several stages', () => {
  const DOCKERFILE = [
    'FROM busybox AS tools',
    'RUN make tools',
    'FROM busybox AS unused',
    'RUN never',
    'FROM scratch',
    'COPY --from=tools /bin/tool /tool',
  ].join('\n');

  test('only those that the target needs are in the graph', async () => {
    const result = await build({ dockerfile: DOCKERFILE });
    expect(names(result).slice(1)).toEqual([
      '[tools 2/2] RUN make tools',
      '[stage-2 1/1] COPY --from=tools /bin/tool /tool',
    ]);
  });

  test('a target that was asked for', async () => {
    const result = await build({ dockerfile: DOCKERFILE, options: { target: 'Unused' } });
    expect(names(result).at(-1)).toBe('[unused 2/2] RUN never');
  });

  test('a target that is not there: what may have been meant', async () => {
    const failing = build({ dockerfile: DOCKERFILE, options: { target: 'tolls' } });
    await expect(failing).rejects.toThrow('target stage "tolls" could not be found (did you mean tools?)');
  });

  test('an image that is copied from is no stage with steps', async () => {
    const result = await build({ dockerfile: 'FROM scratch\nCOPY --from=busybox /bin /bin\n' });
    expect(names(result)[0]).toMatch(/^FROM docker\.io\/library\/busybox:latest@/);
  });

  test('a stage goes on from another', async () => {
    const result = await build({
      dockerfile: 'FROM busybox AS a\nARG X=1\nENV Y=2\nUSER u\nRUN one\nFROM a\nRUN two $X\n',
    });
    expect(names(result).at(-1)).toBe('[stage-1 1/1] RUN two 1');
    expect(lastExec(result).env).toEqual(['X=1', 'PATH=/bin', 'Y=2']);
    expect(historyOf(result).at(-1)).toBe('RUN |1 X=1 /bin/sh -c two $X # buildkit');
  });

  test('a stage that is copied from before it is there', async () => {
    const failing = build({
      dockerfile: 'FROM scratch\nCOPY --from=b / /\nFROM busybox AS b\n',
      options: { target: '' },
    });
    await expect(failing).resolves.toBeDefined();
    const wrong = build({
      dockerfile: 'FROM scratch AS a\nCOPY --from=b / /\nFROM busybox AS b\n',
      options: { target: 'a' },
    });
    await expect(wrong).rejects.toThrow(
      'cannot copy from stage "b", it needs to be defined before current stage "a"',
    );
  });

  test('stages in a circle', async () => {
    const failing = build({
      dockerfile: 'FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /\n',
    });
    await expect(failing).rejects.toThrow('circular dependency detected on stage: a');
  });
});

describe('what is read of the context', () => {
  test('only the paths that are used', async () => {
    const result = await build({
      dockerfile: 'FROM scratch\nCOPY src/*.c ./b/../c /x/\nADD https://h/f /f\n',
    });
    expect(sourceAttrs(result, 'local://context')).toEqual({
      'local.session': 'the-session',
      'local.followpaths': '["c","src/*.c"]',
      'local.sharedkeyhint': 'context',
    });
  });

  test('all of it, but what the ignore file keeps', async () => {
    const result = await build({
      dockerfile: 'FROM scratch\nCOPY . /\n',
      files: { 'context/.dockerignore': '# no\n/node_modules/\n!keep\n' },
    });
    expect(sourceAttrs(result, 'local://context')).toEqual({
      'local.session': 'the-session',
      'local.excludepatterns': '["node_modules","!keep"]',
      'local.sharedkeyhint': 'context',
    });
  });

  test('an ignore file of the Dockerfile goes before that of the context', async () => {
    const result = await build({
      dockerfile: 'FROM scratch\nCOPY . /\n',
      options: { filename: 'sub/My.Dockerfile' },
      files: { 'context/.dockerignore': 'a', 'dockerfile/sub/My.Dockerfile.dockerignore': 'b' },
    });
    expect(sourceAttrs(result, 'local://context')['local.excludepatterns']).toBe('["b"]');
    expect(opOf(result.solved[0]!, 'source').attrs['local.followpaths']).toBe(
      '["sub/My.Dockerfile","sub/My.Dockerfile.dockerignore"]',
    );
  });

  test('nothing, when nothing needs it', async () => {
    const result = await build({ dockerfile: 'FROM busybox\nRUN true\n' });
    expect(names(result)).not.toContain('[internal] load build context');
  });
});

test('source ranges are those of the instruction, line by line', async () => {
  const result = await build({ dockerfile: 'FROM busybox\n\nRUN a \\\n  b\n' });
  const { source } = vertexNamed(result, /RUN/).metadata;
  expect(source?.info.filename).toBe('Dockerfile');
  expect(source?.ranges.map(({ start, end }) => [start.line, end.line])).toEqual([
    [3, 3],
    [4, 4],
  ]);
});
