import { describe, expect, it } from 'vitest';
import { attestationOptions } from '#worker/build/attest/attestation-options.ts';
import { imagePurl } from '#worker/build/attest/image-purl.ts';
import { provenanceOf } from '#worker/build/attest/provenance.ts';
import type { ExecOp } from '#worker/build/llb/op.ts';
import { type Edge, type Vertex, vertex } from '#worker/build/llb/vertex.ts';
import { tellGraph } from '#worker/buildkit/definition/tell-graph.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const platform = { os: 'linux', architecture: 'amd64' };
const source = (identifier: string, attrs = {}) =>
  edge(vertex({ kind: 'source', identifier, attrs }, [], { platform, metadata: { name: identifier } }));
const edge = (of: Vertex): Edge => ({ vertex: of, output: 0 });

function run(inputs: Edge[], more: Partial<ExecOp> = {}): Edge {
  const mounts = inputs.map((_, input) => ({
    type: 'bind' as const,
    dest: input === 0 ? '/' : `/${input}`,
    input,
  }));
  const op: ExecOp = {
    kind: 'exec',
    args: ['true'],
    env: [],
    cwd: '/',
    user: '',
    network: 'none',
    security: 'sandbox',
    ...more,
    mounts: [...mounts, ...(more.mounts ?? [])],
  };
  const info = { filename: 'Dockerfile', data: Buffer.from('FROM a\nRUN true\n'), language: 'Dockerfile' };
  const position = { line: 2, character: 0 };
  const metadata = { name: 'RUN true', source: { info, ranges: [{ start: position, end: position }] } };
  return edge(vertex(op, inputs, { metadata }));
}

function predicate(of: Edge, provenance: string, frontendOptions: Record<string, string> = {}) {
  const options = attestationOptions({ 'attest:provenance': provenance }).provenance!;
  const made = provenanceOf(
    {
      edge: of,
      frontend: 'dockerfile.v0',
      frontendOptions,
      invocationId: 'ref1',
      startedAt: new Date(1000),
      finishedAt: new Date(2000),
      tell: tellGraph,
      resolved: ({ op }) => (op.kind === 'source' && op.identifier.startsWith('https') ? DIGEST : undefined),
    },
    options,
  );
  // biome-ignore lint/suspicious/noExplicitAny: as deep as its specification is
  return { ...made, predicate: JSON.parse(JSON.stringify(made.predicate)) as any };
}

const image = source(`docker-image://docker.io/library/debian:12@${DIGEST}`);

describe('provenance', () => {
  it('names images and downloads that a graph took in, each once', () => {
    const graph = run([image, source('https://user:secret@example.com/a.tar'), run([image])]);
    const { predicateType, predicate: made } = predicate(graph, 'mode=min');
    expect(predicateType).toBe('https://slsa.dev/provenance/v1');
    expect(made.buildDefinition.resolvedDependencies).toEqual([
      {
        uri: `pkg:docker/debian@12?digest=${DIGEST}&platform=linux%2Famd64`,
        digest: { sha256: 'a'.repeat(64) },
      },
      { uri: 'https://xxxxx:xxxxx@example.com/a.tar', digest: { sha256: 'a'.repeat(64) } },
    ]);
    expect(made.runDetails.metadata).toMatchObject({
      invocationId: 'ref1',
      startedOn: new Date(1000).toISOString(),
      buildkit_completeness: { request: true, resolvedDependencies: true },
      buildkit_hermetic: true,
    });
  });

  it('is not complete with what a client sent, and not hermetic with a network', () => {
    const { runDetails } = predicate(run([source('local://context')]), 'mode=min').predicate;
    expect(runDetails.metadata.buildkit_completeness.resolvedDependencies).toBe(false);
    const online = predicate(run([image], { network: 'default' }), 'mode=min').predicate;
    expect(online.runDetails.metadata.buildkit_hermetic).toBeUndefined();
  });

  it('of mode min tells neither arguments nor secrets', () => {
    const secret = { type: 'secret', id: 'token', dest: '/run/secrets/token' } as const;
    const options = {
      'build-arg:PASSWORD': 'x',
      target: 'app',
      filename: 'Dockerfile',
      platform: 'linux/amd64',
    };
    const min = predicate(run([image], { mounts: [secret] }), 'mode=min', options).predicate;
    expect(min.buildDefinition.externalParameters).toEqual({
      configSource: { path: 'Dockerfile' },
      request: { frontend: 'dockerfile.v0', args: { target: 'app' } },
    });
    expect(min.runDetails.metadata.buildkit_completeness.request).toBe(false);
    expect(JSON.stringify(min)).not.toContain('PASSWORD');
    const max = predicate(run([image], { mounts: [secret] }), 'mode=max', options).predicate;
    expect(max.buildDefinition.externalParameters.request).toMatchObject({
      args: { 'build-arg:PASSWORD': 'x' },
      secrets: [{ id: 'token' }],
    });
  });

  it('of mode max has the graph, and the Dockerfile with the place of each step', () => {
    const { buildDefinition, runDetails } = predicate(run([image]), 'mode=max').predicate;
    const { llbDefinition } = buildDefinition.internalParameters.buildConfig;
    expect(llbDefinition.map(({ id, inputs }: { id: string; inputs?: string[] }) => [id, inputs])).toEqual([
      ['step0', undefined],
      ['step1', ['step0:0']],
      ['step2', ['step1:0']],
    ]);
    const { source: told } = runDetails.metadata.buildkit_metadata;
    expect(Buffer.from(told.infos[0].data, 'base64').toString()).toContain('RUN true');
    expect(told.locations.step1.locations[0]).toMatchObject({
      ranges: [{ start: { line: 2 } }],
    });
  });

  it('can be of version 0.2', () => {
    const { predicateType, predicate: made } = predicate(run([image]), 'mode=min,version=v0.2,builder-id=me');
    expect(predicateType).toBe('https://slsa.dev/provenance/v0.2');
    expect(made).toMatchObject({ builder: { id: 'me' }, metadata: { buildInvocationID: 'ref1' } });
    expect(made.materials).toHaveLength(1);
  });

  it('walks a graph of thousands of steps', () => {
    let graph = image;
    for (let step = 0; step < 20_000; step++) graph = run([graph], { args: [`${step}`] });
    expect(predicate(graph, 'mode=min').predicate.buildDefinition.resolvedDependencies).toHaveLength(1);
  });
});

describe('what attestations are wanted', () => {
  it.each([
    [{}, { provenance: undefined, sbom: undefined }],
    [{ 'attest:provenance': 'disabled=true' }, { provenance: undefined, sbom: undefined }],
    [{ 'attest:sbom': 'disabled=true' }, { provenance: undefined, sbom: undefined }],
    [{ 'attest:sbom': '' }, { provenance: undefined, sbom: { generator: undefined, parameters: {} } }],
    [
      { 'attest:sbom': '"generator=a",X=y' },
      { provenance: undefined, sbom: { generator: 'a', parameters: { X: 'y' } } },
    ],
  ])('%o', (options, wanted) => {
    expect(attestationOptions(options as Record<string, string>)).toEqual(wanted);
  });

  it.each([
    [{ 'attest:provenance': 'mode=most' }, 'invalid mode'],
    [{ 'attest:provenance': 'version=v3' }, 'invalid provenance SLSA version'],
    [{ 'attest:magic': '' }, 'unsupported attestation type'],
  ])('%o is refused: %s', (options, message) => {
    expect(() => attestationOptions(options as Record<string, string>)).toThrow(message);
  });
});

it.each([
  ['debian', 'pkg:docker/debian@latest'],
  ['127.0.0.1:5000/team/app:1', 'pkg:docker/127.0.0.1%3A5000/team/app@1'],
])('%s is %s as a package URL', (reference, purl) => {
  expect(imagePurl(reference, undefined)).toBe(purl);
});
