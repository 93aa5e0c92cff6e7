/** Go's `os.FileMode`, which fsutil sends instead of st_mode. */
const DIRECTORY = 2 ** 31;
const SYMLINK = 1 << 27;
const DEVICE = 1 << 26;
const PIPE = 1 << 25;
const SOCKET = 1 << 24;
const SETUID = 1 << 23;
const SETGID = 1 << 22;
const CHARACTER_DEVICE = 1 << 21;
const STICKY = 1 << 20;
const IRREGULAR = 1 << 19;

export type FileType = 'file' | 'directory' | 'symlink' | 'block' | 'character' | 'fifo' | 'socket' | 'other';

export function typeOfGoMode(mode: number): FileType {
  if (mode >>> 31) return 'directory';
  if (mode & SYMLINK) return 'symlink';
  if (mode & DEVICE) return mode & CHARACTER_DEVICE ? 'character' : 'block';
  if (mode & PIPE) return 'fifo';
  if (mode & SOCKET) return 'socket';
  return mode & (IRREGULAR | CHARACTER_DEVICE) ? 'other' : 'file';
}

/** The permission bits as chmod takes them. */
export function permissionsOfGoMode(mode: number): number {
  return (
    (mode & 0o777) |
    (mode & SETUID ? 0o4000 : 0) |
    (mode & SETGID ? 0o2000 : 0) |
    (mode & STICKY ? 0o1000 : 0)
  );
}

const S_IFMT = 0o170000;
const TYPES = new Map([
  [0o040000, DIRECTORY],
  [0o120000, SYMLINK],
  [0o060000, DEVICE],
  [0o020000, DEVICE | CHARACTER_DEVICE],
  [0o010000, PIPE],
  [0o140000, SOCKET],
  [0o100000, 0],
]);

/** From st_mode. */
export function goMode(mode: number): number {
  const type = TYPES.get(mode & S_IFMT) ?? IRREGULAR;
  const special = (mode & 0o4000 ? SETUID : 0) | (mode & 0o2000 ? SETGID : 0) | (mode & 0o1000 ? STICKY : 0);
  return ((mode & 0o777) | special | type) >>> 0;
}
