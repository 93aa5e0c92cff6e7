import { describe, expect, it } from 'vitest';
import { parseImageOptions } from '#worker/build/export/image-options.ts';

describe('attributes of an exporter of images', () => {
  it('may say nothing', () => {
    expect(parseImageOptions({})).toMatchObject({
      names: [],
      ociTypes: undefined,
      compression: undefined,
      forceCompression: false,
      rest: {},
    });
  });

  it('name several images', () => {
    expect(parseImageOptions({ name: 'a:1,b:2' }).names).toEqual(['a:1', 'b:2']);
  });

  it.each([
    [{ compression: 'zstd' }, { type: 'zstd' }],
    [
      { compression: 'zstd', 'compression-level': '19' },
      { type: 'zstd', level: 19 },
    ],
    [{ 'compression-level': '99' }, { type: 'gzip', level: 9 }],
    [{ compression: 'uncompressed' }, { type: 'uncompressed' }],
  ])('%o compress as %o', (attrs, compression) => {
    expect(parseImageOptions(attrs as Record<string, string>).compression).toEqual(compression);
  });

  it('leave what they do not know to the exporter', () => {
    expect(parseImageOptions({ push: 'true', unpack: '' }).rest).toEqual({ push: 'true', unpack: '' });
  });

  it('are annotations of a platform, of all, or of the index', () => {
    const { annotations } = parseImageOptions({
      'annotation.a': 'all',
      'annotation[linux/arm64].a': 'arm',
      'annotation-index.i': 'index',
      'annotation-manifest-descriptor[linux/arm64].d': 'x',
    });
    const arm = annotations.for({ os: 'linux', architecture: 'arm64' });
    expect(arm.manifest).toEqual({ a: 'arm' });
    expect(arm['manifest-descriptor']).toEqual({ d: 'x' });
    expect(arm.index).toEqual({ i: 'index' });
    expect(annotations.for({ os: 'linux', architecture: 'amd64' }).manifest).toEqual({ a: 'all' });
  });

  it.each([
    [{ 'oci-mediatypes': 'maybe' }, 'non-bool value'],
    [{ compression: 'lzma' }, 'unsupported compression type lzma'],
    [{ compression: 'estargz' }, 'estargz'],
    [{ 'compression-level': 'high' }, 'non-integer value'],
    [{ 'source-date-epoch': 'yesterday' }, 'no number of seconds'],
    [{ 'annotation-nonsense.a': '1' }, 'unrecognized annotation type'],
    [{ 'annotation-index[linux/amd64].a': '1' }, 'platform linux/amd64 specified'],
  ])('%o are refused: %s', (attrs, message) => {
    expect(() => parseImageOptions(attrs as Record<string, string>)).toThrow(message);
  });
});
