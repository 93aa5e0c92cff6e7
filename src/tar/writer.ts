import { Buffer } from 'node:buffer';
import { byteLength } from './byte-text.ts';
import { BLOCK_SIZE, paddingOf, type TarEntry, type TarEntryType } from './entry.ts';
import { encodeHeader, type RawHeader } from './header.ts';
import { encodePax, formatPaxTime, XATTR_PREFIX } from './pax.ts';

const TYPE_FLAGS: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

const MAX_OCTAL_7 = 0o7777777;
const MAX_OCTAL_11 = 0o77777777777;

/** Two blocks of zeros. */
export const END_OF_ARCHIVE: Uint8Array = Buffer.alloc(2 * BLOCK_SIZE);

const ZEROS = Buffer.alloc(BLOCK_SIZE);

/** What fills content of `size` bytes up to a block. */
export function padding(size: number): Uint8Array {
  return ZEROS.subarray(0, paddingOf(size));
}

/**
 * The header blocks of an entry: ustar, preceded by a PAX header where a value does not fit. The same entry
 * gives the same bytes. Content and `padding(size)` follow, then the next entry; `END_OF_ARCHIVE` at the end.
 */
export function encodeEntry(entry: TarEntry): Buffer {
  const size = entry.type === 'file' ? entry.size : 0;
  const path = entry.type === 'directory' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path;
  const linkPath = entry.linkPath ?? '';
  const pax = new Map<string, Uint8Array | string>();
  const split = splitPath(path);
  if (!split) pax.set('path', path);
  if (!fits(linkPath, 100)) pax.set('linkpath', linkPath);
  if (size > MAX_OCTAL_11) pax.set('size', String(size));
  if (entry.uid > MAX_OCTAL_7) pax.set('uid', String(entry.uid));
  if (entry.gid > MAX_OCTAL_7) pax.set('gid', String(entry.gid));
  const nanoseconds = entry.mtimeNanoseconds ?? 0;
  const timeFits = nanoseconds === 0 && entry.mtime >= 0 && entry.mtime <= MAX_OCTAL_11;
  if (!timeFits) pax.set('mtime', formatPaxTime(entry.mtime, nanoseconds));
  for (const name of [...(entry.xattrs?.keys() ?? [])].sort()) {
    pax.set(XATTR_PREFIX + name, entry.xattrs!.get(name)!);
  }
  const header = encodeHeader({
    path: split?.name ?? cut(path, 100),
    ...(split?.prefix && { prefix: split.prefix }),
    typeFlag: TYPE_FLAGS[entry.type],
    mode: entry.mode,
    uid: entry.uid > MAX_OCTAL_7 ? 0 : entry.uid,
    gid: entry.gid > MAX_OCTAL_7 ? 0 : entry.gid,
    size: size > MAX_OCTAL_11 ? 0 : size,
    mtime: Math.min(Math.max(entry.mtime, 0), MAX_OCTAL_11),
    linkPath: cut(linkPath, 100),
    userName: cut(entry.userName ?? '', 31),
    groupName: cut(entry.groupName ?? '', 31),
    deviceMajor: entry.deviceMajor ?? 0,
    deviceMinor: entry.deviceMinor ?? 0,
  });
  return pax.size === 0 ? header : Buffer.concat([...paxHeader(pax, path), header]);
}

/** What goes into an archive: an entry, and the content of a file (`entry.size` bytes exactly). */
export interface TarInput {
  readonly entry: TarEntry;
  readonly body?: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** A whole archive. Throws a `RangeError` when a body is not as long as its entry says. */
export async function* writeTar(
  inputs: AsyncIterable<TarInput> | Iterable<TarInput>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { entry, body } of inputs) {
    yield encodeEntry(entry);
    if (entry.type !== 'file') continue;
    let written = 0;
    for await (const chunk of body ?? []) {
      written += chunk.length;
      if (written > entry.size) break;
      yield chunk;
    }
    if (written !== entry.size) {
      throw new RangeError(`content of ${entry.path} is not the ${entry.size} bytes that its header says`);
    }
    if (written % BLOCK_SIZE !== 0) yield padding(written);
  }
  yield END_OF_ARCHIVE;
}

function* paxHeader(records: ReadonlyMap<string, Uint8Array | string>, path: string): Generator<Uint8Array> {
  const body = encodePax(records);
  const header: RawHeader = {
    path: cut(`PaxHeaders.0/${path.replace(/\/$/, '').split('/').at(-1)}`, 100),
    typeFlag: 'x',
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: body.length,
    mtime: 0,
    linkPath: '',
    userName: '',
    groupName: '',
    deviceMajor: 0,
    deviceMinor: 0,
  };
  yield encodeHeader(header);
  yield body;
  yield padding(body.length);
}

/** ustar keeps up to 155 bytes of directories apart from up to 100 bytes of name. */
function splitPath(path: string): { name: string; prefix?: string } | undefined {
  if (fits(path, 100)) return { name: path };
  if (byteLength(path) > 256) return undefined;
  for (
    let slash = path.indexOf('/');
    slash > 0 && slash < path.length - 1;
    slash = path.indexOf('/', slash + 1)
  ) {
    const prefix = path.slice(0, slash);
    const name = path.slice(slash + 1);
    if (fits(prefix, 155) && fits(name, 100)) return { name, prefix };
  }
  return undefined;
}

function fits(text: string, bytes: number): boolean {
  return text.length <= bytes && byteLength(text) <= bytes;
}

function cut(text: string, bytes: number): string {
  return fits(text, bytes)
    ? text
    : Buffer.from(text)
        .subarray(0, bytes)
        .toString('latin1')
        .replace(/[^\x20-\x7e]/g, '_');
}
