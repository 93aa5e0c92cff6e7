import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlipwayError } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import { type Edge, vertex } from '#worker/build/llb/vertex.ts';
import { readDefinition } from '#worker/buildkit/definition/read-definition.ts';
import { writeDefinition } from '#worker/buildkit/definition/write-definition.ts';
import {
  DefinitionSchema,
  OpSchema,
} from '#worker/buildkit/proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

type Op = MessageInitShape<typeof OpSchema>;

const encode = (op: Op) => toBinary(OpSchema, create(OpSchema, op));
const source = (identifier: string): Op => ({ op: { case: 'source', value: { identifier, attrs: {} } } });

/** The last of the ops is what is wanted; inputs are positions before. */
function definition(...ops: (Op & { from?: number[] })[]) {
  const def: Uint8Array[] = [];
  for (const { from = [], ...op } of ops) {
    const inputs = from.map((at) => ({ digest: digestOf(def[at]!) as string, index: 0n }));
    def.push(encode({ inputs, ...op }));
  }
  def.push(encode({ inputs: [{ digest: digestOf(def.at(-1)!), index: 0n }] }));
  return create(DefinitionSchema, { def });
}

const copy = (input: bigint, secondaryInput: bigint): Op => {
  const value = {
    src: '/a',
    dest: '/b',
    mode: -1,
    timestamp: -1n,
    owner: { user: { user: { case: 'byID' as const, value: 0 } } },
  };
  return {
    op: {
      case: 'file',
      value: { actions: [{ input, secondaryInput, output: 0n, action: { case: 'copy', value } }] },
    },
  };
};

const everything: Edge = (() => {
  const metadata = { name: 'step' };
  const image = vertex({ kind: 'source', identifier: 'docker-image://x', attrs: { a: 'b' } }, [], {
    platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
    metadata,
  });
  const info = {
    filename: 'Dockerfile',
    data: new Uint8Array(Buffer.from('FROM x')),
    language: 'Dockerfile',
  };
  const range = { start: { line: 1, character: 0 }, end: { line: 1, character: 6 } };
  const exec = vertex(
    {
      kind: 'exec',
      args: ['sh', '-c', 'make'],
      env: ['A=b'],
      cwd: '/src',
      user: 'ada',
      hostname: 'h',
      extraHosts: [{ host: 'x', ip: '10.0.0.1' }],
      proxyEnv: ['HTTP_PROXY=http://p', 'http_proxy=http://p'],
      ulimits: [{ name: 'nofile', soft: 1, hard: 2 }],
      validExitCodes: [0, 3],
      removeMountStubsRecursive: true,
      network: 'none',
      security: 'sandbox',
      secretEnv: [{ id: 's', name: 'S', optional: true }],
      mounts: [
        { dest: '/', input: 0, output: 0, type: 'bind' },
        { dest: '/r', input: 0, selector: '/sub', readonly: true, type: 'bind', contentCache: 'off' },
        { dest: '/c', type: 'cache', id: 'c', sharing: 'locked' },
        { dest: '/t', type: 'tmpfs', size: 1024 },
        { dest: '/s', type: 'secret', id: 's', uid: 1, gid: 2, mode: 0o400, optional: true },
        { dest: '/a', type: 'ssh', id: 'default', uid: 0, gid: 0, mode: 0o600 },
      ],
    },
    [{ vertex: image, output: 0 }],
    {
      metadata: {
        name: 'RUN make',
        source: { info, ranges: [range] },
        progressGroup: { id: '1', name: 'g', weak: true },
        ignoreCache: true,
        resources: {
          memory: 7,
          memorySwap: -1,
          cpuShares: 3,
          cpuQuota: -1,
          cpusetCpus: '0-1',
          cpusetMems: '0',
        },
      },
    },
  );
  const file = vertex(
    {
      kind: 'file',
      actions: [
        { type: 'mkdir', input: 0, path: '/d', mode: 0o755, makeParents: true, timestamp: 5n },
        {
          type: 'mkfile',
          input: 2,
          path: '/d/f',
          mode: 0o644,
          data: new Uint8Array([120]),
          owner: { user: { byName: { name: 'ada', input: 0 } }, group: { byId: 7 } },
        },
        { type: 'symlink', input: 3, oldpath: 'f', newpath: '/d/l' },
        { type: 'rm', input: 4, path: '/x*', allowNotFound: true, allowWildcard: true },
        {
          type: 'copy',
          input: 5,
          secondaryInput: 1,
          output: 0,
          src: '/s',
          dest: '/d',
          mode: 'u+x',
          followSymlink: true,
          dirCopyContents: true,
          unpack: false,
          createDestPath: true,
          allowWildcard: true,
          allowEmptyWildcard: false,
          includePatterns: ['a'],
          excludePatterns: ['b'],
          alwaysReplaceExistingDestPaths: true,
        },
      ],
    },
    [
      { vertex: exec, output: 0 },
      { vertex: image, output: 0 },
    ],
    { metadata },
  );
  const merge = vertex(
    { kind: 'merge' },
    [
      { vertex: file, output: 0 },
      { vertex: image, output: 0 },
    ],
    { metadata },
  );
  const diff = vertex(
    { kind: 'diff', lower: 0, upper: 1 },
    [
      { vertex: image, output: 0 },
      { vertex: merge, output: 0 },
    ],
    { metadata },
  );
  return { vertex: diff, output: 0 };
})();

describe('a graph', () => {
  it('comes back from its definition as it was', () => {
    const back = readDefinition(writeDefinition(everything))!;
    const list = ({ vertex: { op, inputs, platform, metadata, digest } }: Edge): unknown[] => [
      { op, platform, metadata, digest },
      ...inputs.flatMap(list),
    ];
    const plain = (edge: Edge) =>
      JSON.parse(
        JSON.stringify(list(edge), (_, value) =>
          typeof value === 'bigint' ? `${value}n` : value instanceof Uint8Array ? [...value] : value,
        ),
      );
    expect(plain(back)).toEqual(plain(everything));
  });

  it('may be deep', () => {
    let edge: Edge = {
      vertex: vertex({ kind: 'source', identifier: 'a://b', attrs: {} }, [], { metadata: { name: '' } }),
      output: 0,
    };
    for (let count = 0; count < 12_000; count++) {
      const run = {
        kind: 'file',
        actions: [
          { type: 'rm', input: 0, output: 0, path: `/${count}`, allowNotFound: true, allowWildcard: false },
        ],
      } as const;
      edge = { vertex: vertex(run, [edge], { metadata: { name: '' } }), output: 0 };
    }
    expect(readDefinition(writeDefinition(edge))?.vertex.digest).toBe(edge.vertex.digest);
  });

  it('that is empty is an empty file system', () => {
    expect(readDefinition(create(DefinitionSchema, {}))).toBeUndefined();
    expect(writeDefinition(undefined).def).toEqual([]);
  });
});

describe("a client's definition", () => {
  const refused = (client: ReturnType<typeof definition>, message: RegExp) =>
    expect(() => readDefinition(client)).toThrow(message);

  it('has its steps named as BuildKit does', () => {
    const edge = readDefinition(definition(source('local://context'), { ...copy(-1n, 0n), from: [0] }))!;
    expect(edge.vertex.metadata.name).toBe('copy /a /b');
    expect(edge.vertex.inputs[0]!.vertex.metadata.name).toBe('local://context');
  });

  it('is refused when steps are missing or do not fit', () => {
    const whole = definition(source('a://b'), { ...copy(-1n, 0n), from: [0] });
    refused(create(DefinitionSchema, { def: whole.def.slice(1) }), /missing input digest/);
    refused(create(DefinitionSchema, { def: whole.def.slice(0, 1) }), /without a result/);
    refused(create(DefinitionSchema, { def: [Buffer.from([0xff, 0xff])] }), /cannot be read/);
    refused(definition(source('nonsense')), /failed to parse nonsense: invalid/);
    refused(definition(source('a://b'), { ...source('c://d'), from: [0] }), /no inputs/);
    for (const number of [-2n, 2n, 2n ** 62n]) {
      refused(definition(source('a://b'), { ...copy(number, 0n), from: [0] }), /invalid input index/);
      refused(definition(source('a://b'), { ...copy(-1n, number), from: [0] }), /invalid input index/);
    }
    refused(definition({ op: { case: 'exec', value: { meta: { args: ['x'] } } } }), /exec op with no mounts/);
    refused(definition({ op: { case: 'exec', value: {} } }), /exec op with no meta/);
    refused(definition({ op: { case: 'file', value: {} } }), /file op with no actions/);
    refused(definition({ op: { case: 'build', value: {} } }), /not supported/);
    refused(definition({}), /no support for <nil>/);
    refused(
      create(DefinitionSchema, { def: Array.from({ length: 100_001 }, () => new Uint8Array()) }),
      /more than 20000 steps/,
    );
  });

  it('does not make names grow without end', () => {
    const ops: (Op & { from?: number[] })[] = [source('a://b')];
    for (let at = 0; at < 60; at++) {
      ops.push({ op: { case: 'merge', value: { inputs: [{ input: 0n }, { input: 1n }] } }, from: [at, at] });
    }
    expect(readDefinition(definition(...ops))!.vertex.metadata.name.length).toBeLessThan(2_000);
  });

  it('throws nothing but errors that a client can be told', () => {
    const bytes = fc.uint8Array({ maxLength: 60 });
    fc.assert(
      fc.property(fc.array(bytes, { minLength: 1, maxLength: 4 }), (parts) => {
        const last = encode({ inputs: [{ digest: digestOf(parts.at(-1)!), index: 0n }] });
        try {
          readDefinition(create(DefinitionSchema, { def: [...parts, last] }));
        } catch (error) {
          expect(error).toBeInstanceOf(SlipwayError);
        }
      }),
    );
  });
});
