import { expect, test } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';
import { vertex } from '#worker/build/llb/vertex.ts';
import { build } from './fake-bridge.ts';
import { configOf, lastExec, names, sourceAttrs, vertexNamed } from './graph-text.ts';

const COPY_FROM = 'FROM scratch\nCOPY --from=other /a /b\n';

test('a directory of the client: with its own ignore file, and only what is used of it', async () => {
  const result = await build({
    dockerfile: COPY_FROM,
    options: { 'context:other': 'local:named', 'sharedkey:localdir:other': 'key' },
    files: { 'named/.dockerignore': 'secret\n' },
  });
  expect(names(result)[0]).toBe('[context other] load from client');
  expect(result.solved.map(({ metadata }) => metadata.name)).toContain('[context other] load .dockerignore');
  expect(sourceAttrs(result, 'local://named')).toEqual({
    'local.session': 'the-session',
    'local.excludepatterns': '["secret"]',
    'local.followpaths': '["a"]',
    'local.sharedkeyhint': 'context:other-key',
  });
});

test('an image in place of a base image, with its configuration', async () => {
  const result = await build({
    dockerfile: 'FROM alpine\nRUN x\n',
    options: { 'context:alpine': 'docker-image://registry:5000/mine' },
    images: { 'registry:5000/mine:latest': { config: { Env: ['PATH=/mine'], User: 'me' } } },
  });
  expect(result.resolved).toEqual([
    expect.objectContaining({
      reference: 'registry:5000/mine:latest',
      name: '[context alpine] load metadata for registry:5000/mine',
    }),
  ]);
  expect(lastExec(result)).toMatchObject({ env: ['PATH=/mine'], user: 'me' });
});

test('an image in place of a stage: none of its instructions are followed', async () => {
  const result = await build({
    dockerfile: 'FROM busybox AS base\nRUN never\nFROM base\nRUN x\n',
    options: { 'context:base': 'docker-image://busybox' },
  });
  expect(names(result)).toEqual(['[context base] busybox', '[stage-1 1/1] RUN x']);
  expect(lastExec(result).env).toEqual(['PATH=/bin']);
});

test('the context for the platform goes before the one for all', async () => {
  const options = { 'context:other::linux/arm64': 'local:arm', 'context:other': 'local:any' };
  const arm = await build({ dockerfile: COPY_FROM, options: { ...options, platform: 'linux/arm64' } });
  expect(sourceAttrs(arm, 'local://arm')['local.sharedkeyhint']).toBe('context:other::linux/arm64-');
  const amd = await build({ dockerfile: COPY_FROM, options: { ...options, platform: 'linux/amd64' } });
  expect(sourceAttrs(amd, 'local://any')).toBeDefined();
});

test('an OCI layout of the client', async () => {
  const digest = digestOf('a manifest');
  const result = await build({
    dockerfile: 'FROM other\nRUN x\n',
    options: { 'context:other': `oci-layout://the-store@${digest}` },
    images: { [`docker.io/library/other@${digest}`]: { config: { Env: ['A=1'] } } },
  });
  expect(result.resolved[0]).toMatchObject({ store: 'the-store' });
  expect(sourceAttrs(result, `oci-layout://docker.io/library/other@${digest}`)).toEqual({
    'oci.session': 'the-session',
    'oci.store': 'the-store',
  });
  expect(lastExec(result).env).toContain('A=1');
});

test('a repository, and a download', async () => {
  const git = await build({ dockerfile: COPY_FROM, options: { 'context:other': 'https://h/r.git#v1:d' } });
  expect(names(git)[0]).toBe('[internal] load git source https://h/r.git#v1:d');
  const http = await build({ dockerfile: COPY_FROM, options: { 'context:other': 'https://h/file.txt' } });
  expect(sourceAttrs(http, 'https://h/file.txt')).toEqual({ 'http.filename': 'context' });
});

test('the outcome of another build', async () => {
  const op = { kind: 'source', identifier: 'docker-image://x/y@sha256:0', attrs: {} } as const;
  const input: Edge = { vertex: vertex(op, [], { metadata: { name: 'the other build' } }), output: 0 };
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: { Env: ['FROM=bake'], WorkingDir: '/w' },
      rootfs: { type: 'layers', diff_ids: [] },
    }),
  ).toString('base64');
  const result = await build({
    dockerfile: 'FROM other\nRUN x\n',
    options: {
      'context:other': 'input:target',
      'input-metadata:target': JSON.stringify({ 'containerimage.config': config }),
    },
    inputs: { target: input },
  });
  expect(vertexNamed(result, 'the other build').digest).toBe(input.vertex.digest);
  expect(lastExec(result)).toMatchObject({ cwd: '/w', env: expect.arrayContaining(['FROM=bake']) });
  expect(configOf(result).config?.WorkingDir).toBe('/w');
});

test.each([
  ['ftp://x', 'unsupported context source ftp for other'],
  ['nothing', 'invalid context specifier nothing for other'],
  ['input:missing', 'invalid input missing for other'],
  ['oci-layout://store', 'oci-layout reference "store" has no digest'],
])('%s is none', async (value, message) => {
  const failing = build({ dockerfile: COPY_FROM, options: { 'context:other': value } });
  await expect(failing).rejects.toThrow(message);
});

test('an ignore file that is not there is none', async () => {
  const result = await build({ dockerfile: COPY_FROM, options: { 'context:other': 'local:named' } });
  expect(sourceAttrs(result, 'local://named')).not.toHaveProperty('local.excludepatterns');
});

test('directories may be in other sessions of the client', async () => {
  const result = await build({
    dockerfile: 'FROM scratch\nCOPY a /\nCOPY --from=other b /\n',
    options: {
      'context:other': 'local:named',
      'local-sessionid:named': 'second',
      'local-sessionid:context': 'third',
    },
    files: { 'named/b': '', 'context/a': '' },
  });
  expect(sourceAttrs(result, 'local://named')['local.session']).toBe('second');
  expect(sourceAttrs(result, 'local://context')['local.session']).toBe('third');
});
