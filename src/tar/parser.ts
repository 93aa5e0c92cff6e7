import { Buffer } from 'node:buffer';
import { invalid, tooLarge, unsupported } from '#errors/errors.ts';
import { decodeText } from './byte-text.ts';
import { BLOCK_SIZE, paddingOf, type TarEntry, type TarEntryType } from './entry.ts';
import { decodeHeader, type RawHeader } from './header.ts';
import { decodePax, type PaxRecords, parsePaxInteger, parsePaxTime, XATTR_PREFIX } from './pax.ts';

/** Called in the archive's order: `entry`, `data` for each piece of its content, `end`. */
export interface TarSink {
  entry(entry: TarEntry): void;
  /** A piece of the chunk that is being parsed; whoever keeps it beyond the call copies it if the source reuses it. */
  data(bytes: Uint8Array): void;
  end(): void;
}

export interface TarLimits {
  /** Members of one archive. */
  readonly maxEntries?: number;
  /** Bytes of one PAX header or GNU long name. */
  readonly maxExtensionBytes?: number;
}

const TYPES: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

type State = 'header' | 'data' | 'extension' | 'ended';

/**
 * Parses a tar archive that arrives in chunks of any size: ustar, PAX, GNU long names and large numbers. It
 * never buffers content, only a header or an extension that a chunk's border cut. Synchronous: the sink is
 * called from within `write`. Throws `invalid`, `too-large` and (for sparse files) `unsupported`.
 */
export class TarParser {
  readonly #sink: TarSink;
  readonly #maxEntries: number;
  readonly #maxExtensionBytes: number;
  #state: State = 'header';
  #entries = 0;
  /** The part of a header or extension that earlier chunks held. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** Bytes of content, or of an extension, still to come; then of padding. */
  #remaining = 0;
  #padding = 0;
  #extension: RawHeader | undefined;
  #skipping = false;
  readonly #globalPax: PaxRecords = new Map();
  #pax: PaxRecords | undefined;
  #longPath: string | undefined;
  #longLink: string | undefined;

  constructor(sink: TarSink, limits: TarLimits = {}) {
    this.#sink = sink;
    this.#maxEntries = limits.maxEntries ?? 10_000_000;
    this.#maxExtensionBytes = limits.maxExtensionBytes ?? 1024 * 1024;
  }

  write(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#state === 'ended') return;
      if (this.#state === 'data') offset = this.#consumeData(chunk, offset);
      else offset = this.#collect(chunk, offset);
    }
  }

  /**
   * Call at the end of the input. Throws `invalid` when the archive is cut short. The end mark may be missing, and
   * so may the last entry's padding: `docker build -f` with a file outside of the context leaves out both.
   */
  finish(): void {
    const between = this.#state === 'header' && this.#pendingBytes === 0 && !this.#pax && !this.#longPath;
    const unpadded = this.#state === 'data' && this.#remaining === 0;
    if (this.#state !== 'ended' && !between && !unpadded) {
      throw invalid('invalid tar: unexpected end of archive');
    }
  }

  #consumeData(chunk: Buffer, start: number): number {
    let offset = start;
    if (this.#remaining > 0) {
      const take = Math.min(this.#remaining, chunk.length - offset);
      if (!this.#skipping) this.#sink.data(chunk.subarray(offset, offset + take));
      this.#remaining -= take;
      offset += take;
      if (this.#remaining > 0) return offset;
      this.#endContent();
    }
    const skip = Math.min(this.#padding, chunk.length - offset);
    this.#padding -= skip;
    if (this.#padding === 0) this.#state = 'header';
    return offset + skip;
  }

  #endContent(): void {
    if (!this.#skipping) this.#sink.end();
    this.#skipping = false;
  }

  /** Gathers a header block or an extension's bytes, mostly without copying. */
  #collect(chunk: Buffer, start: number): number {
    const wanted = this.#state === 'header' ? BLOCK_SIZE : this.#remaining + this.#padding;
    const take = Math.min(wanted - this.#pendingBytes, chunk.length - start);
    const piece = chunk.subarray(start, start + take);
    if (this.#pendingBytes + take < wanted) {
      this.#pending.push(Buffer.from(piece));
      this.#pendingBytes += take;
      return start + take;
    }
    const whole = this.#pendingBytes === 0 ? piece : Buffer.concat([...this.#pending, piece], wanted);
    this.#pending = [];
    this.#pendingBytes = 0;
    if (this.#state === 'header') this.#header(whole);
    else this.#endExtension(whole.subarray(0, this.#remaining));
    return start + take;
  }

  #header(block: Buffer): void {
    const header = decodeHeader(block);
    if (!header) {
      // Two blocks of zeros end an archive; one is enough for everyone who reads them.
      this.#state = 'ended';
      return;
    }
    switch (header.typeFlag) {
      case 'x':
      case 'g':
      case 'L':
      case 'K':
        this.#beginExtension(header);
        return;
      case 'S':
        throw unsupported('invalid tar: sparse files are not supported');
      default:
        this.#beginEntry(header);
    }
  }

  #beginExtension(header: RawHeader): void {
    if (header.size > this.#maxExtensionBytes) {
      throw tooLarge(`invalid tar: an extended header of ${header.size} bytes is too large`);
    }
    this.#extension = header;
    this.#remaining = header.size;
    this.#padding = paddingOf(header.size);
    this.#state = 'extension';
    if (header.size === 0) this.#endExtension(Buffer.alloc(0));
  }

  #endExtension(bytes: Buffer): void {
    switch (this.#extension!.typeFlag) {
      case 'x':
        this.#pax = decodePax(bytes);
        break;
      case 'g':
        decodePax(bytes, this.#globalPax);
        break;
      case 'L':
        this.#longPath = cString(bytes);
        break;
      default:
        this.#longLink = cString(bytes);
    }
    this.#extension = undefined;
    this.#remaining = 0;
    this.#padding = 0;
    this.#state = 'header';
  }

  #beginEntry(header: RawHeader): void {
    if (++this.#entries > this.#maxEntries) {
      throw tooLarge(`invalid tar: more than ${this.#maxEntries} entries`);
    }
    const entry = this.#describe(header);
    this.#pax = undefined;
    this.#longPath = undefined;
    this.#longLink = undefined;
    // 'V' names a GNU volume; it stands for no file.
    this.#skipping = entry === undefined;
    this.#remaining = entry ? entry.size : header.size;
    this.#padding = paddingOf(this.#remaining);
    if (entry) this.#sink.entry(entry);
    if (this.#remaining === 0) {
      this.#endContent();
      this.#state = 'header';
    } else {
      this.#state = 'data';
    }
  }

  #describe(header: RawHeader): TarEntry | undefined {
    if (header.typeFlag === 'V') return undefined;
    const pax = this.#effectivePax();
    const path = textOf(pax, 'path') ?? this.#longPath ?? header.path;
    // Before ustar a trailing slash was all that made a directory.
    const type =
      header.typeFlag === '0' && path.endsWith('/') ? ('directory' as const) : TYPES[header.typeFlag];
    if (!type) throw unsupported(`invalid tar: unknown entry type ${JSON.stringify(header.typeFlag)}`);
    const size = pax?.has('size') ? integer(pax, 'size') : header.size;
    if (size < 0) throw invalid('invalid tar: negative size');
    const base = {
      path,
      type,
      mode: header.mode,
      uid: pax?.has('uid') ? integer(pax, 'uid') : header.uid,
      gid: pax?.has('gid') ? integer(pax, 'gid') : header.gid,
      // As every reader has it: only files have content, whatever the header of the others says.
      size: type === 'file' ? size : 0,
      mtime: header.mtime,
      linkPath: textOf(pax, 'linkpath') ?? this.#longLink ?? header.linkPath,
      deviceMajor: header.deviceMajor,
      deviceMinor: header.deviceMinor,
      userName: pax?.get('uname')?.toString('utf8') ?? header.userName,
      groupName: pax?.get('gname')?.toString('utf8') ?? header.groupName,
    };
    return pax ? { ...base, ...paxTime(pax), xattrs: xattrsOf(pax) } : base;
  }

  #effectivePax(): PaxRecords | undefined {
    const pax =
      this.#globalPax.size === 0 ? this.#pax : new Map([...this.#globalPax, ...(this.#pax ?? new Map())]);
    for (const key of pax?.keys() ?? []) {
      if (key.startsWith('GNU.sparse.')) throw unsupported('invalid tar: sparse files are not supported');
    }
    return pax;
  }
}

function textOf(pax: PaxRecords | undefined, key: string): string | undefined {
  const value = pax?.get(key);
  return value && decodeText(value);
}

function integer(pax: PaxRecords, key: string): number {
  return parsePaxInteger(pax.get(key)!.toString('latin1'), key);
}

function paxTime(pax: PaxRecords): { mtime?: number; mtimeNanoseconds?: number } {
  const text = pax.get('mtime')?.toString('latin1');
  if (text === undefined) return {};
  const { seconds, nanoseconds } = parsePaxTime(text);
  return { mtime: seconds, mtimeNanoseconds: nanoseconds };
}

function xattrsOf(pax: PaxRecords): ReadonlyMap<string, Uint8Array> | undefined {
  let xattrs: Map<string, Uint8Array> | undefined;
  for (const [key, value] of pax) {
    if (!key.startsWith(XATTR_PREFIX)) continue;
    xattrs ??= new Map();
    xattrs.set(key.slice(XATTR_PREFIX.length), value);
  }
  return xattrs;
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return decodeText(bytes.subarray(0, end < 0 ? bytes.length : end));
}
