import { getSystemErrorName } from 'node:util';
import koffi, { type KoffiFunc } from 'koffi';
import { unavailable } from '#errors/errors.ts';

/**
 * The few system calls that Node has no word for. Calls are made on the calling thread, which matters for
 * namespaces: they belong to a thread.
 */
const libc = koffi.load(null);

export const unshare: KoffiFunc<(flags: number) => number> = libc.func('int unshare(int flags)');
export const setns: KoffiFunc<(fd: number, type: number) => number> = libc.func(
  'int setns(int fd, int type)',
);
export const mount: KoffiFunc<
  (source: string, target: string, type: string, flags: number, data: string | null) => number
> = libc.func('int mount(str source, str target, str type, unsigned long flags, str data)');
export const umount2: KoffiFunc<(target: string, flags: number) => number> = libc.func(
  'int umount2(str target, int flags)',
);
export const socket: KoffiFunc<(domain: number, type: number, protocol: number) => number> = libc.func(
  'int socket(int domain, int type, int protocol)',
);
export const bind: KoffiFunc<(fd: number, address: Uint8Array, length: number) => number> = libc.func(
  'int bind(int fd, const void *address, unsigned int length)',
);
export const setsockopt: KoffiFunc<
  (fd: number, level: number, option: number, value: Uint8Array, length: number) => number
> = libc.func('int setsockopt(int fd, int level, int option, const void *value, unsigned int length)');
export const send: KoffiFunc<(fd: number, bytes: Uint8Array, length: number, flags: number) => number> =
  libc.func('long send(int fd, const void *bytes, size_t length, int flags)');
export const recv: KoffiFunc<(fd: number, bytes: Uint8Array, length: number, flags: number) => number> =
  libc.func('long recv(int fd, _Out_ void *bytes, size_t length, int flags)');

/** 0 when there is none. Never waits, unlike asking over netlink. */
export const interfaceIndex: KoffiFunc<(name: string) => number> = libc.func(
  'unsigned int if_nametoindex(str name)',
);

export const CLONE_NEWNET = 0x40000000;
export const MS_BIND = 0x1000;
export const MNT_DETACH = 2;
export const AF_INET = 2;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const MSG_DONTWAIT = 0x40;

/** Passes the result of a system call on, or throws `unavailable` with the system's reason. */
export function checked(call: string, result: number): number {
  if (result >= 0) return result;
  throw unavailable(`${call}: ${errnoName(koffi.errno())}`, { code: errnoName(koffi.errno()) });
}

/** `EEXIST` for 17. */
export function errnoName(errno: number): string {
  return errno > 0 ? getSystemErrorName(-errno) : 'EUNKNOWN';
}
