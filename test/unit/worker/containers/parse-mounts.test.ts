import { describe, expect, it } from 'vitest';
import {
  parseBind,
  parseMountSpec,
  parseVolumesFrom,
  tmpfsOptions,
} from '#worker/containers/create/parse-mounts.ts';

describe('-v', () => {
  it('tells host paths, names and anonymous volumes apart', () => {
    expect(parseBind('/host/dir:/data/', '')).toMatchObject({
      type: 'bind',
      source: '/host/dir',
      destination: '/data',
      writable: true,
      propagation: 'rprivate',
      createSource: true,
    });
    expect(parseBind('pg:/var/lib/postgresql:ro', '')).toMatchObject({
      type: 'volume',
      name: 'pg',
      destination: '/var/lib/postgresql',
      writable: false,
      mode: 'ro',
      copyData: true,
    });
    const anonymous = parseBind('/cache', '');
    expect(anonymous).toMatchObject({ type: 'volume', destination: '/cache', driver: 'local' });
    expect(anonymous.name).toBeUndefined();
  });

  it('reads modes', () => {
    expect(parseBind('/a:/b:ro,rshared', '')).toMatchObject({ writable: false, propagation: 'rshared' });
    expect(parseBind('v1:/b:nocopy', '')).toMatchObject({ copyData: false });
  });

  it.each([
    ['', "invalid volume specification: ''"],
    ['/a:/b:ro:x', 'invalid volume specification'],
    ['/a:rw', "invalid volume specification: '/a:rw'"],
    ['/a:/b:xx', 'invalid mode: xx'],
    ['/a:/b:ro,rw', 'invalid mode: ro,rw'],
    ['/a:b', "invalid mount path: 'b' mount path must be absolute"],
    ['/a:/', "destination can't be '/'"],
    ['/a:/x/..', "destination can't be '/'"],
    ['../up:/b', 'includes invalid characters for a local volume name'],
  ])('refuses %s', (text, message) => {
    expect(() => parseBind(text, '')).toThrow(message);
  });
});

describe('--mount', () => {
  it('knows the three types', () => {
    expect(parseMountSpec({ Type: 'bind', Source: '/s', Target: '/t', ReadOnly: true })).toMatchObject({
      type: 'bind',
      writable: false,
      createSource: false,
    });
    expect(
      parseMountSpec({ Type: 'volume', Source: 'v1', Target: '/t', VolumeOptions: { NoCopy: true } }),
    ).toMatchObject({
      type: 'volume',
      name: 'v1',
      copyData: false,
    });
    const tmpfs = { Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 65536, Mode: 0o1777 } };
    expect(parseMountSpec(tmpfs)).toMatchObject({ type: 'tmpfs', source: '' });
    expect(tmpfsOptions(tmpfs)).toEqual(['mode=1777', 'size=65536']);
  });

  it.each([
    [{ Type: 'bind', Target: '/t' }, 'field Source must not be empty'],
    [{ Type: 'bind', Source: 'rel', Target: '/t' }, "invalid mount path: 'rel' mount path must be absolute"],
    [{ Type: 'tmpfs', Source: '/x', Target: '/t' }, 'field Source must not be specified'],
    [{ Type: 'volume', Target: '' }, 'field Target must not be empty'],
    [{ Type: 'volume', Target: '/t', BindOptions: {} }, 'field BindOptions must not be specified'],
    [
      { Type: 'volume', Source: 'v1', Target: '/t', VolumeOptions: { Subpath: '../x' } },
      'subpath must be a relative path',
    ],
    [{ Type: 'nfs', Target: '/t' }, 'invalid mount config for type "nfs": mount type unknown'],
  ])('refuses %j', (spec, message) => {
    expect(() => parseMountSpec(spec)).toThrow(message);
  });
});

it('--volumes-from takes a mode, but no propagation', () => {
  expect(parseVolumesFrom('web:ro')).toEqual({ container: 'web', writable: false });
  expect(parseVolumesFrom('web')).toEqual({ container: 'web', writable: true });
  expect(() => parseVolumesFrom('web:shared')).toThrow('invalid mode: shared');
  expect(() => parseVolumesFrom('')).toThrow('cannot be an empty string');
});
