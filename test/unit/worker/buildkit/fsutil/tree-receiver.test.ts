import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isKind } from '#errors/errors.ts';
import { TreeReceiver } from '#worker/buildkit/fsutil/tree-receiver.ts';
import type { StatSchema } from '#worker/buildkit/proto/github.com/tonistiigi/fsutil/types/stat_pb.ts';
import {
  PacketSchema,
  Packet_PacketType as PacketType,
} from '#worker/buildkit/proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';

const DIRECTORY = 2 ** 31;
const SYMLINK = 2 ** 27;
const PIPE = 2 ** 25;
const TIME = 1_700_000_000_123_456_789n;

let folder: string;
let root: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-receiver-'));
  root = join(folder, 'root');
  mkdirSync(root);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

type Stat = MessageInitShape<typeof StatSchema>;
type Entry = Stat & { content?: string };

const directory = (path: string, mode = 0o755): Entry => ({ path, mode: DIRECTORY + mode, modTime: TIME });
const file = (path: string, content: string, more: Stat = {}): Entry => ({
  path,
  mode: 0o644,
  modTime: TIME,
  size: BigInt(content.length),
  content,
  ...more,
});
const symlink = (path: string, linkname: string): Entry => ({
  path,
  linkname,
  mode: SYMLINK + 0o777,
  modTime: TIME,
});

const LIMITS = { maxBytes: 1_000, maxEntries: 100 };

/** A sender that behaves: answers requests at once. Gives the paths that were asked for. */
function sync(
  entries: readonly Entry[],
  limits: { maxBytes: number; maxEntries: number; everything?: boolean } = LIMITS,
) {
  const asked: string[] = [];
  const wanted: number[] = [];
  let fin = false;
  const receiver = new TreeReceiver(root, limits, ({ type, ID }) => {
    if (type === PacketType.PACKET_FIN) fin = true;
    else wanted.push(ID!);
  });
  const send = (packet: MessageInitShape<typeof PacketSchema>) =>
    receiver.accept(create(PacketSchema, packet));
  try {
    for (const { content: _, ...stat } of entries) send({ stat });
    send({});
    for (const id of wanted) {
      asked.push(entries[id]!.path!);
      const content = Buffer.from(entries[id]!.content ?? '');
      const half = Math.ceil(content.length / 2);
      for (const part of [content.subarray(0, half), content.subarray(half)]) {
        if (part.length > 0) send({ type: PacketType.PACKET_DATA, ID: id, data: part });
      }
      send({ type: PacketType.PACKET_DATA, ID: id });
    }
    expect(fin).toBe(true);
    send({ type: PacketType.PACKET_FIN });
    expect(receiver.done).toBe(true);
  } finally {
    receiver.close();
  }
  const { changed, directories, ...total } = receiver.received;
  return { asked, changed, directories, total };
}

function tree(path = ''): string[] {
  return readdirSync(join(root, path), { withFileTypes: true })
    .flatMap((entry) => {
      const name = path === '' ? entry.name : `${path}/${entry.name}`;
      return entry.isDirectory() ? [`${name}/`, ...tree(name)] : [name];
    })
    .sort();
}

const text = (path: string) => readFileSync(join(root, path), 'utf8');

describe('a sync', () => {
  const start = () => [
    directory('a', 0o750),
    file('a/one', 'first'),
    file('a/two', 'second', { mode: 0o600 + 2 ** 23 }),
    file('b', ''),
    symlink('c', '/etc/passwd'),
    { path: 'd', mode: PIPE + 0o644, modTime: TIME },
  ];

  it('asks for files that look as they did, when everything is wanted', () => {
    sync([file('a', 'old'), symlink('b', 'a')]);
    const same = [file('a', 'new'), symlink('b', 'a')];
    sync(same);
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('old');
    sync(same, { ...LIMITS, everything: true });
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('new');
  });

  it('makes everything as the sender has it', () => {
    const { total, changed } = sync(start());
    expect(tree()).toEqual(['a/', 'a/one', 'a/two', 'b', 'c', 'd']);
    expect(text('a/one')).toBe('first');
    expect(readlinkSync(join(root, 'c'))).toBe('/etc/passwd');
    expect(lstatSync(join(root, 'a/two')).mode & 0o7777).toBe(0o4600);
    expect(lstatSync(join(root, 'a')).mode & 0o777).toBe(0o750);
    expect(lstatSync(join(root, 'd')).isFIFO()).toBe(true);
    for (const path of ['a', 'a/one', 'b', 'c', 'd']) {
      expect(lstatSync(join(root, path), { bigint: true }).mtimeNs, path).toBe(TIME);
    }
    expect(total).toEqual({ entries: 6, bytes: 11 });
    expect(changed).toBe(true);
  });

  it('asks for nothing the second time', () => {
    sync(start());
    expect(sync(start())).toMatchObject({ asked: [], changed: false });
  });

  it('asks for what has another size, time or mode', () => {
    sync([file('a', 'one'), file('b', 'two'), file('c', 'three'), file('d', 'four')]);
    const { asked } = sync([
      file('a', 'longer'),
      file('b', 'TWO', { modTime: TIME + 1n }),
      file('c', 'three', { mode: 0o755 }),
      file('d', 'four'),
    ]);
    expect(asked).toEqual(['a', 'b', 'c']);
    expect(text('b')).toBe('TWO');
  });

  it('removes what the sender has no more', () => {
    sync([directory('a'), file('a/x', '1'), directory('b'), file('b/y', '2'), file('c', '3')]);
    const { asked, changed } = sync([directory('b'), file('b/z', '4')]);
    expect(tree()).toEqual(['b/', 'b/z']);
    expect({ asked, changed }).toEqual({ asked: ['b/z'], changed: true });
  });

  it('puts one kind of file in place of another', () => {
    sync([directory('a'), file('a/x', '1'), file('b', '2'), symlink('c', 'a')]);
    sync([
      file('a', 'was a directory'),
      directory('b'),
      file('b/x', 'y'),
      directory('c'),
      file('c/z', 'real'),
    ]);
    expect(tree()).toEqual(['a', 'b/', 'b/x', 'c/', 'c/z']);
  });

  it('keeps links between files, also to those still to come', () => {
    const entries = [directory('a'), file('a/x', 'linked'), file('b', '', { linkname: 'a/x', size: 0n })];
    sync(entries);
    expect(lstatSync(join(root, 'b')).ino).toBe(lstatSync(join(root, 'a/x')).ino);
    expect(sync(entries)).toMatchObject({ asked: [], changed: false });
  });

  it('takes the order of a walk by bytes', () => {
    const names = ['a', 'a.b', 'a/c', 'B', 'é', '\u{ff5e}', '\u{1f600}'];
    sync([
      file('B', '1'),
      directory('a'),
      file('a/c', '2'),
      file('a.b', '3'),
      file('é', '4'),
      file('\u{ff5e}', '5'),
      file('\u{1f600}', '6'),
    ]);
    expect(
      tree()
        .map((name) => name.replace(/\/$/, ''))
        .sort(),
    ).toEqual(names.sort());
  });

  it('is good for another sync after one that broke off', () => {
    expect(() => sync([file('a', 'x'.repeat(2_000))])).toThrow('larger than 1000 bytes');
    sync([file('a', 'fine')]);
    expect(text('a')).toBe('fine');
  });

  it('sets no attributes that overlayfs would act upon', () => {
    const value = Buffer.from('y');
    sync([
      file('a', 'x', { xattrs: { 'trusted.overlay.opaque': value, 'user.mine': value } }),
      directory('b'),
    ]);
    expect(text('a')).toBe('x');
  });
});

describe('a sender that lies', () => {
  const refused = (entries: readonly Entry[], message: string | RegExp) => {
    try {
      sync(entries);
    } catch (error) {
      expect(isKind(error, 'invalid') || isKind(error, 'too-large'), String(error)).toBe(true);
      expect(String(error)).toMatch(message);
      return;
    }
    expect.unreachable('it should have been refused');
  };

  it.each(['', '/etc/x', '..', '../x', 'a/../../x', './a', 'a//b', 'a/', 'a\0b', 'x'.repeat(256)])(
    'cannot use the path %j',
    (path) => {
      refused([directory('a'), file(path, 'x')], /path|order/);
      expect(readdirSync(folder)).toEqual(['root']);
    },
  );

  it('cannot write through a link of its own, nor one that was there', () => {
    refused([symlink('a', folder), file('a/escaped', 'x')], 'without its directory');
    symlinkSync(folder, join(root, 'b'));
    refused([file('b/escaped', 'x')], 'without its directory');
    sync([directory('b'), file('b/inside', 'x')]);
    expect(readdirSync(folder)).toEqual(['root']);
    expect(lstatSync(join(root, 'b')).isDirectory()).toBe(true);
  });

  it('cannot link to what is outside, or was not listed', () => {
    writeFileSync(join(folder, 'secret'), 'secret');
    const link = (linkname: string) => file('z', '', { linkname, size: 0n });
    refused([link('../secret')], 'path');
    refused([link('/etc/passwd')], 'path');
    refused([symlink('a', folder), link('a/secret')], 'link to what is no file');
    refused([symlink('a', join(folder, 'secret')), link('a')], 'link to what is no file');
    refused([link('zz')], 'link to what is no file');
  });

  it('has to keep the order', () => {
    refused([file('b', '1'), file('a', '2')], 'not in order');
    refused([file('a', '1'), file('a', '2')], 'not in order');
    refused([directory('b'), file('a/x', '1')], /order|without/);
  });

  it('is held to the limits', () => {
    refused(
      Array.from({ length: 101 }, (_, at) => file(`f${String(at).padStart(4, '0')}`, '')),
      'more than 100 files',
    );
    refused([file('a', 'x'.repeat(1_001), { size: 3n })], 'larger than 1000 bytes');
  });

  it('cannot send what was not asked for', () => {
    const receiver = new TreeReceiver(root, { maxBytes: 10, maxEntries: 10 }, () => {});
    const send = (packet: MessageInitShape<typeof PacketSchema>) =>
      receiver.accept(create(PacketSchema, packet));
    expect(() => send({ type: PacketType.PACKET_DATA, ID: 7, data: Buffer.from('x') })).toThrow(
      'invalid file request 7',
    );
    expect(() => send({ type: PacketType.PACKET_REQ, ID: 1 })).toThrow('unexpected packet');
    expect(() => send({ type: PacketType.PACKET_FIN })).toThrow('before its last file');
    expect(() => send({ type: PacketType.PACKET_ERR, data: Buffer.from('no such') })).toThrow(
      'error from sender: no such',
    );
    send({});
    expect(() => send({})).toThrow('ended twice');
    expect(() => send({ stat: { path: 'a', mode: 0o644 } })).toThrow('after the end');
    receiver.close();
  });
});
