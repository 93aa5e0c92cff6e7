import { Buffer } from 'node:buffer';
import { closeSync, constants as constantsOfFiles, openSync } from 'node:fs';
import { constants } from 'node:os';
import koffi, { type KoffiFunc } from 'koffi';
import { encodeText } from '#tar/byte-text.ts';

/** System calls that Node has no function for. They throw what Node's own would: an Error with `code` and `syscall`. */

const lib = koffi.load('libc.so.6');
const mountCall = lib.func(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const umountCall = lib.func('int umount2(const char *target, int flags)');
const mknodCall = lib.func('int mknod(const char *path, uint32 mode, uint64 device)');
const lsetxattrCall = lib.func(
  'int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)',
);
const lremovexattrCall = lib.func('int lremovexattr(const char *path, const char *name)');
const lgetxattrCall = lib.func(
  'long lgetxattr(const char *path, const char *name, _Out_ void *value, size_t size)',
);
const llistxattrCall = lib.func('long llistxattr(const char *path, _Out_ void *list, size_t size)');
const utimensatCall = lib.func(
  'int utimensat(int directory, const char *path, const void *times, int flags)',
);
const futimensCall = lib.func('int futimens(int fd, const void *times)');
const ioctlCall = lib.func('int ioctl(int fd, unsigned long request, _Inout_ void *argument)');
const fallocateCall = lib.func('int fallocate(int fd, int mode, int64 offset, int64 length)');

const openat2Call = lib.func(
  'long syscall(long number, int directory, const char *path, const void *how, size_t size)',
);

/** On every architecture that has it. */
const SYS_OPENAT2 = 437;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const RESOLVE_IN_ROOT = 0x10;
/** Of 64-bit architectures. */
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const AT_FDCWD = -100;
const FALLOC_FL_KEEP_SIZE = 1;
const AT_SYMLINK_NOFOLLOW = 0x100;

const { ENOTTY, EOPNOTSUPP, EINVAL, ENOSYS, EPERM } = constants.errno;
const NO_SUCH_FLAGS = new Set([ENOTTY, EOPNOTSUPP, EINVAL, ENOSYS, EPERM]);

const ERROR_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

export function mountSync(source: string, target: string, type: string, flags: number, data: string): void {
  check(mountCall(source, target, type, flags, data), 'mount', target);
}

export function mount(
  source: string,
  target: string,
  type: string,
  flags: number,
  data: string,
): Promise<void> {
  return inBackground(mountCall, [source, target, type, flags, data], 'mount', target);
}

export function unmount(target: string, flags: number): Promise<void> {
  return inBackground(umountCall, [target, flags], 'umount2', target);
}

export function mknod(path: string, mode: number, major: number, minor: number): void {
  check(mknodCall(cPath(path), mode, makeDevice(major, minor)), 'mknod', path);
}

/** Takes room on the disk for the first bytes of a file, which stays as it is. */
export function reserve(path: string, bytes: number): void {
  const fd = openSync(path, 'r+');
  try {
    check(fallocateCall(fd, FALLOC_FL_KEEP_SIZE, 0, bytes), 'fallocate', path);
  } finally {
    closeSync(fd);
  }
}

/** Does not follow a symbolic link. */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  check(lsetxattrCall(cPath(path), name, value, value.length, 0), 'lsetxattr', path);
}

/** That there is none is no error. Does not follow a symbolic link. */
export function removeXattr(path: string, name: string): void {
  if (lremovexattrCall(cPath(path), name) === 0) return;
  const error = koffi.errno();
  if (error !== constants.errno.ENODATA) throw failure(error, 'lremovexattr', path);
}

let scratch = Buffer.alloc(4096);

/** `undefined` when the file has no such attribute. Does not follow a symbolic link. */
export function getXattr(path: string, name: string): Buffer | undefined {
  for (;;) {
    const size = Number(lgetxattrCall(cPath(path), name, scratch, scratch.length));
    if (size >= 0) return Buffer.from(scratch.subarray(0, size));
    const error = koffi.errno();
    if (error === constants.errno.ENODATA || error === constants.errno.EOPNOTSUPP) return undefined;
    growOrFail(error, 'lgetxattr', path);
  }
}

/** Does not follow a symbolic link. */
export function listXattrs(path: string): string[] {
  for (;;) {
    const size = Number(llistxattrCall(cPath(path), scratch, scratch.length));
    if (size === 0) return [];
    if (size > 0) return scratch.toString('utf8', 0, size - 1).split('\0');
    const error = koffi.errno();
    if (error === constants.errno.EOPNOTSUPP) return [];
    growOrFail(error, 'llistxattr', path);
  }
}

const times = Buffer.alloc(32);

/** Access and modification time of an open file, to the nanosecond. */
export function setFileTimes(fd: number, seconds: number, nanoseconds: number): void {
  check(futimensCall(fd, fillTimes(seconds, nanoseconds)), 'futimens', `fd ${fd}`);
}

/** The same by path; does not follow a symbolic link. */
export function setPathTimes(path: string, seconds: number, nanoseconds: number): void {
  const filled = fillTimes(seconds, nanoseconds);
  check(utimensatCall(AT_FDCWD, cPath(path), filled, AT_SYMLINK_NOFOLLOW), 'utimensat', path);
}

/** Sets flags of a directory (ioctl_iflags(2)). That its file system has no such flags is no error. */
export function addInodeFlags(path: string, flags: number): void {
  const fd = openSync(path, constantsOfFiles.O_RDONLY | constantsOfFiles.O_DIRECTORY);
  try {
    // An int for the kernel, whatever the request's number says of its size.
    const argument = Buffer.alloc(8);
    if (ioctlCall(fd, FS_IOC_GETFLAGS, argument) === 0) {
      argument.writeUInt32LE((argument.readUInt32LE() | flags) >>> 0);
      if (ioctlCall(fd, FS_IOC_SETFLAGS, argument) === 0) return;
    }
    const error = koffi.errno();
    if (!NO_SUCH_FLAGS.has(error)) throw failure(error, 'ioctl', path);
  } finally {
    closeSync(fd);
  }
}

/**
 * A handle on what a path means to a process that is chrooted into `root`, found by the kernel in one go: nobody can
 * lead it out with a link while it looks. The caller closes it. For mounting `/proc/self/fd/<handle>`, not to be read.
 */
export function openInRoot(root: string, path: string): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(O_PATH | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT), 16);
  const directory = openSync(root, constantsOfFiles.O_RDONLY | constantsOfFiles.O_DIRECTORY);
  try {
    const found = Number(openat2Call(SYS_OPENAT2, directory, cPath(path), how, how.length));
    check(found, 'openat2', path);
    return found;
  } finally {
    closeSync(directory);
  }
}

/** A name that is not UTF-8 goes as bytes, with their closing NUL. */
function cPath(path: string): string | Buffer {
  return path.isWellFormed() ? path : Buffer.concat([encodeText(path), Buffer.alloc(1)]);
}

/** glibc's gnu_dev_makedev. */
function makeDevice(major: number, minor: number): bigint {
  const high = BigInt(major);
  const low = BigInt(minor);
  return ((high & 0xfffn) << 8n) | ((high & ~0xfffn) << 32n) | (low & 0xffn) | ((low & 0xffffff00n) << 12n);
}

function fillTimes(seconds: number, nanoseconds: number): Buffer {
  for (const offset of [0, 16]) {
    times.writeBigInt64LE(BigInt(seconds), offset);
    times.writeBigInt64LE(BigInt(nanoseconds), offset + 8);
  }
  return times;
}

function growOrFail(error: number, syscall: string, path: string): void {
  if (error !== constants.errno.ERANGE || scratch.length >= 1024 * 1024) throw failure(error, syscall, path);
  scratch = Buffer.alloc(scratch.length * 16);
}

function check(result: number, syscall: string, path: string): void {
  if (result < 0) throw failure(koffi.errno(), syscall, path);
}

function inBackground(
  call: KoffiFunc<(...args: unknown[]) => unknown>,
  args: unknown[],
  syscall: string,
  path: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error: Error | null, result: unknown) => {
      if (error) reject(error);
      else if ((result as number) < 0) reject(failure(koffi.errno(), syscall, path));
      else resolve();
    });
  });
}

function failure(errno: number, syscall: string, path: string): NodeJS.ErrnoException {
  const code = ERROR_NAMES.get(errno) ?? `errno ${errno}`;
  return Object.assign(new Error(`${code}: ${syscall} '${path}'`), { code, errno: -errno, syscall, path });
}
