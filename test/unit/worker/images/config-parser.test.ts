import { describe, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { parseImageConfig } from '#worker/images/config-parser.ts';

const parse = (value: unknown) => parseImageConfig(Buffer.from(JSON.stringify(value)));
const base = { os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [digestOf('x')] } };

describe('an image configuration', () => {
  it('keeps what it does not know', () => {
    expect(parse({ ...base, 'moby.buildkit.cache': 1, config: { Cmd: null, Custom: true } })).toMatchObject({
      'moby.buildkit.cache': 1,
      config: { Custom: true },
    });
  });

  it('may have no layers at all', () => {
    expect(parse({ ...base, rootfs: { type: 'layers', diff_ids: null } }).rootfs.diff_ids).toEqual([]);
  });

  it.each([
    ['no object', 5],
    ['no layers', { os: 'linux', architecture: 'amd64' }],
    ['a layer that is no digest', { ...base, rootfs: { type: 'layers', diff_ids: ['../../x'] } }],
    ['a command that is no list', { ...base, config: { Cmd: 'sh' } }],
    ['labels that are no texts', { ...base, config: { Labels: { a: 1 } } }],
  ])('is refused with %s', (_, value) =>
    expect(() => parse(value)).toThrow(expect.objectContaining({ kind: 'invalid' })),
  );

  it('is refused when it is not JSON in UTF-8', () => {
    expect(() => parseImageConfig(Buffer.from('{'))).toThrow('not JSON');
    expect(() => parseImageConfig(Buffer.from([0x22, 0xff, 0x22]))).toThrow('not JSON');
  });
});
