import { expect, test } from 'vitest';
import { isKind } from '#errors/errors.ts';
import { SourceError } from '#worker/build/llb/source-error.ts';
import { build } from './fake-bridge.ts';
import { names, opOf, sourceAttrs, verticesOf } from './graph-text.ts';

const COPY_ALL = 'FROM scratch\nCOPY . /\n';

test('a git repository holds the Dockerfile too, and no ignore file counts', async () => {
  const result = await build({
    dockerfile: '',
    options: { context: 'https://h/r.git#main:sub', 'build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR': '1' },
    files: { 'git://h/r.git#main:sub/Dockerfile': COPY_ALL },
  });
  expect(sourceAttrs(result, 'git://h/r.git#main:sub')).toMatchObject({
    'git.fullurl': 'https://h/r.git',
    'git.keepgitdir': 'true',
  });
  expect(names(result)).toEqual(['[internal] load git source https://h/r.git#main:sub', '[1/1] COPY . /']);
  expect(result.solved).toHaveLength(1);
});

test('an archive behind a URL is unpacked', async () => {
  const result = await build({
    dockerfile: '',
    options: { context: 'https://h/context.tar.gz' },
    files: {
      'https://h/context.tar.gz/context': new Uint8Array([0x1f, 0x8b, 0x08, 0]),
      'file/Dockerfile': COPY_ALL,
    },
  });
  const [download, unpack] = verticesOf(result.refs.get(''));
  expect(opOf(download!, 'source').attrs).toEqual({ 'http.filename': 'context' });
  expect(opOf(unpack!, 'file').actions).toEqual([
    expect.objectContaining({ type: 'copy', src: '/context', dest: '/', unpack: true }),
  ]);
});

test('a Dockerfile behind a URL', async () => {
  const result = await build({
    dockerfile: '',
    options: { context: 'https://h/Dockerfile' },
    files: { 'https://h/Dockerfile/context': 'FROM scratch\nCOPY context /\n' },
  });
  expect(names(result)).toEqual(['[internal] load remote build context', '[1/1] COPY context /']);
});

test('a directory of the context as the context', async () => {
  const result = await build({
    dockerfile: COPY_ALL,
    options: { context: 'https://h/r.git', contextsubdir: 'sub', dockerfilekey: 'dockerfile' },
  });
  const [, scoped] = verticesOf(result.refs.get(''));
  expect(opOf(scoped!, 'file').actions).toEqual([
    expect.objectContaining({ type: 'copy', src: '/sub', dest: '/', dirCopyContents: true }),
  ]);
});

test('a Dockerfile in lower case does as well', async () => {
  const result = await build({
    options: { filename: 'sub/Dockerfile' },
    files: { 'dockerfile/sub/dockerfile': 'FROM busybox\n' },
  });
  expect(names(result)).toHaveLength(1);
});

test('no Dockerfile', async () => {
  const failing = build({});
  await expect(failing).rejects.toSatisfy((error) => isKind(error, 'not-found'));
  await expect(failing).rejects.toThrow(
    'failed to read dockerfile: open Dockerfile: no such file or directory',
  );
});

test.each([
  ['', 'the Dockerfile cannot be empty'],
  ['RUN x\n', 'no build stage in current context'],
  ['FROM busybox\nFOO x\n', 'unknown instruction: FOO'],
  ['# syntax=example.com/mine\nFROM busybox\n', 'no other frontend than docker/dockerfile'],
])('%j is refused', async (dockerfile, message) => {
  await expect(build({ dockerfile })).rejects.toThrow(message);
});

test("Dockerfile's own frontend may be asked for, in whatever version", async () => {
  for (const name of ['docker/dockerfile:1', 'docker.io/docker/dockerfile-upstream:master-labs']) {
    await expect(build({ dockerfile: `# syntax=${name}\nFROM busybox\n` })).resolves.toBeDefined();
    await expect(
      build({ dockerfile: 'FROM busybox\n', options: { 'build-arg:BUILDKIT_SYNTAX': name } }),
    ).resolves.toBeDefined();
  }
  const foreign = build({ dockerfile: 'FROM busybox\n', options: { 'build-arg:BUILDKIT_SYNTAX': 'x/y' } });
  await expect(foreign).rejects.toThrow('BUILDKIT_SYNTAX=x/y');
});

test('an error says which lines it is about', async () => {
  const failing = build({ dockerfile: 'FROM busybox\nRUN a\nEXPOSE \\\n  99999\n' });
  const error = await failing.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(SourceError);
  const [source] = (error as SourceError).sources;
  expect(source?.ranges.map(({ start }) => start.line)).toEqual([3, 4]);
  expect(source?.info.filename).toBe('Dockerfile');
});

test('an image that is not there: what may have been meant, and where', async () => {
  const error = await build({ dockerfile: 'FROM busybocks\n' }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(SourceError);
  expect(isKind(error, 'not-found')).toBe(true);
  const misspelled = build({ dockerfile: 'FROM debain\n' });
  await expect(misspelled).rejects.toThrow(
    'debain: failed to resolve source metadata for docker.io/library/debain:latest: docker.io/library/debain:latest: not found (did you mean debian?)',
  );
});
