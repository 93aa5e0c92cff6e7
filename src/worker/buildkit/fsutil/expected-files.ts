import type { Stat } from '../proto/github.com/tonistiigi/fsutil/types/stat_pb.ts';

/** What is needed of a file once its contents are there. */
export type ExpectedFile = Pick<Stat, 'path' | 'mode' | 'uid' | 'gid' | 'modTime' | 'xattrs'>;

const PAGE = 4_096;

/** A page of numbers that follow each other. */
interface Page {
  readonly paths: (string | undefined)[];
  readonly modes: Uint32Array;
  readonly uids: Uint32Array;
  readonly gids: Uint32Array;
  readonly times: BigInt64Array;
  left: number;
}

/**
 * Files whose contents were asked for, by their number in the list. There may be a million of them, whose messages would
 * take four times as much memory as this does: their path and 28 bytes each.
 */
export class ExpectedFiles {
  readonly #pages = new Map<number, Page>();
  /** Few have any. */
  readonly #xattrs = new Map<number, Stat['xattrs']>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Each number once. */
  add(id: number, { path, mode, uid, gid, modTime, xattrs }: ExpectedFile): void {
    const page = this.#pages.get(Math.floor(id / PAGE)) ?? this.#addPage(Math.floor(id / PAGE));
    const at = id % PAGE;
    page.paths[at] = path;
    page.modes[at] = mode;
    page.uids[at] = uid;
    page.gids[at] = gid;
    page.times[at] = modTime;
    for (const _ in xattrs) {
      this.#xattrs.set(id, xattrs);
      break;
    }
    page.left++;
    this.#size++;
  }

  get(id: number): ExpectedFile | undefined {
    const page = this.#pages.get(Math.floor(id / PAGE));
    const at = id % PAGE;
    const path = page?.paths[at];
    if (!page || path === undefined) return undefined;
    return {
      path,
      mode: page.modes[at]!,
      uid: page.uids[at]!,
      gid: page.gids[at]!,
      modTime: page.times[at]!,
      xattrs: this.#xattrs.get(id) ?? {},
    };
  }

  /** One that is there. */
  delete(id: number): void {
    const page = this.#pages.get(Math.floor(id / PAGE))!;
    page.paths[id % PAGE] = undefined;
    this.#xattrs.delete(id);
    this.#size--;
    if (--page.left === 0) this.#pages.delete(Math.floor(id / PAGE));
  }

  clear(): void {
    this.#pages.clear();
    this.#xattrs.clear();
    this.#size = 0;
  }

  #addPage(number: number): Page {
    const page = {
      paths: new Array<string | undefined>(PAGE),
      modes: new Uint32Array(PAGE),
      uids: new Uint32Array(PAGE),
      gids: new Uint32Array(PAGE),
      times: new BigInt64Array(PAGE),
      left: 0,
    };
    this.#pages.set(number, page);
    return page;
  }
}
