import { describe, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { goJson } from '#worker/build/cache/portable/go-json.ts';
import { portableMap } from '#worker/build/cache/portable/op-digest.ts';
import { contentKey, recordKey } from '#worker/build/cache/portable/portable-keys.ts';
import { imageDigests } from '#worker/build/cache/portable/source-digest.ts';
import type { ExecOp, FileOp, SourceOp } from '#worker/build/llb/op.ts';
import { vertex } from '#worker/build/llb/vertex.ts';

const platform = { os: 'linux', architecture: 'amd64' };
const metadata = { name: 'x' };
const source = vertex<SourceOp>({ kind: 'source', identifier: 'local://x', attrs: {} }, [], { metadata });
const input = { vertex: source, output: 0 };

const exec = (more: Partial<ExecOp> = {}): ExecOp => ({
  kind: 'exec',
  args: ['/bin/sh', '-c', 'echo "<&>"'],
  env: ['A=1'],
  cwd: '/',
  user: '',
  network: 'default',
  security: 'sandbox',
  mounts: [{ type: 'bind', dest: '/', input: 0, output: 0 }],
  ...more,
});
const mapOf = (op: ExecOp | FileOp, inputs = [input]) =>
  portableMap(vertex(op, inputs, { platform, metadata }))!;

describe('the digests that BuildKit has for ops', () => {
  it('are of what Go writes', () => {
    expect(goJson({ a: '<&>\u2028"\n', b: undefined, c: [1, -1n, true] })).toBe(
      '{"a":"\\u003c\\u0026\\u003e\\u2028\\"\\n","c":[1,-1,true]}',
    );
    const text =
      '{"Type":"buildkit.exec.v0","Exec":{"meta":{"args":["/bin/sh","-c","echo \\"\\u003c\\u0026\\u003e\\""],"env":["A=1"],"cwd":"/"}},"OS":"linux","Arch":"amd64"}';
    expect(mapOf(exec())).toEqual({ digest: digestOf(text), selectors: [digestOf('/')] });
  });

  it('leave out what makes no other outcome', () => {
    const cache = (id: string, sharing: 'shared' | 'locked' = 'shared') =>
      mapOf(
        exec({
          mounts: [
            { type: 'bind', dest: '/', input: 0, output: 0 },
            { type: 'cache', dest: '/c', id, sharing },
          ],
        }),
      ).digest;
    expect(cache('a')).toBe(cache('b', 'locked'));
    expect(cache('/c')).not.toBe(cache('a'));
    const hosts = (ip: string) => mapOf(exec({ extraHosts: [{ host: 'h', ip }] })).digest;
    expect(hosts('1.1.1.1')).toBe(hosts('2.2.2.2'));
    expect(mapOf(exec({ proxyEnv: ['HTTP_PROXY=x'] }))).toEqual(mapOf(exec()));
    expect(mapOf(exec({ user: '1' }))).not.toEqual(mapOf(exec()));
  });

  it('are of copies by what is called how, and of inputs by what is looked at', () => {
    const copy = (src: string): FileOp => ({
      kind: 'file',
      actions: [
        {
          type: 'copy',
          input: 0,
          secondaryInput: 1,
          output: 0,
          src,
          dest: '/',
          followSymlink: true,
          dirCopyContents: true,
          unpack: false,
          createDestPath: true,
          allowWildcard: true,
          allowEmptyWildcard: true,
        },
      ],
    });
    const action =
      '{"src":"b","dest":"/","mode":-1,"followSymlink":true,"dirCopyContents":true,"createDestPath":true,"allowWildcard":true,"allowEmptyWildcard":true,"timestamp":-1}';
    const actions = [Buffer.from(action).toString('base64')];
    const one = mapOf(copy('/a/b'), [input, input]);
    expect(one).toEqual({
      digest: digestOf(JSON.stringify({ Type: 'buildkit.file.v0', Actions: actions })),
      selectors: [undefined, digestOf('/a/b')],
    });
    expect(mapOf(copy('/other/b'), [input, input]).digest).toBe(one.digest);
  });

  it('are none for what BuildKit has not', () => {
    expect(portableMap(source)).toBeUndefined();
    expect(portableMap(vertex(exec({ network: 'mine' }), [input], { metadata }))).toBeUndefined();
  });

  it('are of an image by its manifest and by its layers', () => {
    const [manifest, layers] = imageDigests(digestOf('m'), platform, {
      layers: digestOf('l'),
      limit: undefined,
    });
    const key = digestOf(`{"Digest":"${digestOf('m')}","OS":"linux","Arch":"amd64"}`);
    expect(manifest).toBe(digestOf(`buildkit.source.v0:${key}`));
    expect(layers).toBe(digestOf(`buildkit.source.v0:${digestOf('l')}`));
    expect(recordKey(layers!, 2)).toBe(digestOf(`${layers}@2`));
    expect(contentKey(layers!)).toBe(digestOf(`${layers}@-1`));
  });
});
