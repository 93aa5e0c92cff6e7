import { closeSync } from 'node:fs';
import {
  AF_INET,
  bind,
  checked,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  setsockopt,
  socket,
} from './libc.ts';

/**
 * The descriptor of a socket (`SOCK_STREAM`, `SOCK_DGRAM`) that is bound to an IPv4 address, at once and in the namespace
 * that the thread is in. Throws `unavailable` with the system's code.
 */
export function boundSocket(type: number, address: string, port: number): number {
  const fd = checked('socket', socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const yes = Buffer.alloc(4);
  yes.writeInt32LE(1);
  // struct sockaddr_in
  const name = Buffer.alloc(16);
  name.writeUInt16LE(AF_INET, 0);
  name.writeUInt16BE(port, 2);
  name.set(address.split('.').map(Number), 4);
  try {
    // As all servers do: what an earlier process's connections left is in nobody's way.
    checked('setsockopt', setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, yes, yes.length));
    checked('bind', bind(fd, name, name.length));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
