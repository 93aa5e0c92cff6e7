import { closeSync, constants, fchmodSync, fchownSync, openSync, writeSync } from 'node:fs';
import { invalid, tooLarge, unavailable } from '#errors/errors.ts';
import { setFileTimes } from '#worker/snapshots/libc.ts';
import type { Stat } from '../proto/github.com/tonistiigi/fsutil/types/stat_pb.ts';
import {
  type Packet,
  Packet_PacketType as PacketType,
} from '../proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';
import { type ExpectedFile, ExpectedFiles } from './expected-files.ts';
import { permissionsOfGoMode } from './go-mode.ts';
import { OWNER, seconds, setXattrs, TreeUpdater } from './tree-updater.ts';

export interface ReceiveLimits {
  readonly maxBytes: number;
  readonly maxEntries: number;
}

export interface ReceiveOptions extends ReceiveLimits {
  /** Also what looks as it did: same name, size, time, mode. */
  readonly everything?: boolean;
}

/** What a sync came to. */
export interface Received {
  /** Whether the directory is another than it was. */
  readonly changed: boolean;
  /** What is in it. */
  readonly entries: number;
  readonly bytes: number;
  /** In which of its directories, as of `TreeChanges`; undefined: in too many. */
  readonly directories: readonly string[] | undefined;
}

/** A file whose contents are coming. */
interface OpenFile {
  readonly stat: ExpectedFile;
  readonly fd: number;
}

export type OutgoingPacket = { readonly type: PacketType; readonly ID?: number };

/** A sender has a handful of files under way at once. */
const MAX_OPEN_FILES = 64;

/**
 * The receiving side of fsutil's protocol, as a state machine over packets: makes a directory equal to the sender's by
 * asking only for files whose size, time or mode differ. Synchronous. What it throws for a peer that breaks the rules
 * has kind `invalid` or `too-large`; the directory is good for another sync afterwards.
 */
export class TreeReceiver {
  readonly #root: string;
  readonly #limits: ReceiveLimits;
  readonly #send: (packet: OutgoingPacket) => void;
  readonly #updater: TreeUpdater;
  /** Those that are open are in both. */
  readonly #expected = new ExpectedFiles();
  readonly #open = new Map<number, OpenFile>();
  /** Entries, and bytes of regular files, that the sender has. */
  readonly #total = { entries: 0, bytes: 0 };
  #entries = 0;
  #bytes = 0;
  #listed = false;
  #finished = false;

  constructor(root: string, limits: ReceiveOptions, send: (packet: OutgoingPacket) => void) {
    this.#root = root;
    this.#limits = limits;
    this.#send = send;
    this.#updater = new TreeUpdater(root, limits);
  }

  /** Whether the directory is as the sender's, and the sender knows. */
  get done(): boolean {
    return this.#finished;
  }

  /** What it came to. */
  get received(): Received {
    const { changed, directories } = this.#updater;
    return { changed, directories, ...this.#total };
  }

  accept(packet: Packet): void {
    if (this.#finished) throw invalid('a packet after the last one');
    switch (packet.type) {
      case PacketType.PACKET_STAT:
        if (packet.stat) this.#entry(packet.stat);
        else this.#endOfList();
        return;
      case PacketType.PACKET_DATA:
        this.#data(packet.ID, packet.data);
        return;
      case PacketType.PACKET_FIN:
        if (!this.#complete) throw invalid('the sender ended before its last file');
        this.#finished = true;
        return;
      case PacketType.PACKET_ERR:
        throw unavailable(`error from sender: ${Buffer.from(packet.data).toString()}`);
      default:
        throw invalid('an unexpected packet');
    }
  }

  /** Closes what is open. To be called however it went. */
  close(): void {
    for (const { fd } of this.#open.values()) closeSync(fd);
    this.#open.clear();
    this.#expected.clear();
  }

  get #complete(): boolean {
    return this.#listed && this.#expected.size === 0;
  }

  #entry(stat: Stat): void {
    if (this.#listed) throw invalid('a file after the end of the list');
    const id = this.#entries++;
    if (this.#entries > this.#limits.maxEntries) {
      throw tooLarge(`more than ${this.#limits.maxEntries} files`);
    }
    this.#total.entries = this.#entries;
    const outcome = this.#updater.apply(stat);
    if (outcome.regular) this.#total.bytes += Number(stat.size);
    if (!outcome.wanted) return;
    this.#expected.add(id, stat);
    this.#send({ type: PacketType.PACKET_REQ, ID: id });
  }

  #endOfList(): void {
    if (this.#listed) throw invalid('the file list ended twice');
    this.#updater.endOfList();
    this.#listed = true;
    this.#finishWhenComplete();
  }

  #data(id: number, data: Uint8Array): void {
    const { stat, fd } = this.#open.get(id) ?? this.#begin(id);
    if (data.length > 0) {
      this.#bytes += data.length;
      if (this.#bytes > this.#limits.maxBytes) {
        throw tooLarge(`the directory is larger than ${this.#limits.maxBytes} bytes`);
      }
      writeAll(fd, data);
      return;
    }
    this.#expected.delete(id);
    this.#open.delete(id);
    finishFile(fd, `${this.#root}/${stat.path}`, stat);
    this.#finishWhenComplete();
  }

  #begin(id: number): OpenFile {
    const stat = this.#expected.get(id);
    if (!stat) throw invalid(`invalid file request ${id}`);
    if (this.#open.size >= MAX_OPEN_FILES) throw invalid('too many files at once');
    const file = { stat, fd: createFile(`${this.#root}/${stat.path}`) };
    this.#open.set(id, file);
    return file;
  }

  #finishWhenComplete(): void {
    if (!this.#complete) return;
    this.#updater.finish();
    this.#send({ type: PacketType.PACKET_FIN });
  }
}

function createFile(path: string): number {
  const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants;
  return openSync(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600);
}

function writeAll(fd: number, data: Uint8Array): void {
  for (let at = 0; at < data.length; ) at += writeSync(fd, data, at);
}

/** The time last: until then the file is not taken for what the sender has. */
function finishFile(fd: number, path: string, stat: ExpectedFile): void {
  try {
    if (stat.uid !== OWNER.uid || stat.gid !== OWNER.gid) fchownSync(fd, stat.uid, stat.gid);
    setXattrs(path, stat);
    fchmodSync(fd, permissionsOfGoMode(stat.mode));
    setFileTimes(fd, ...seconds(stat.modTime));
  } finally {
    closeSync(fd);
  }
}
