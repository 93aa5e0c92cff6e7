import { chmodSync, chownSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { parseListenAddress } from '#config/address.ts';
import { systemCode } from '#errors/errors.ts';
import { Refusal } from '../refusal.ts';
import { groupId } from './accounts.ts';

/**
 * Listens on `host:port`, `tcp://host:port` or `unix:///path` and resolves to the address as clients write it
 * (with the real port; `https` where `secure`). A socket file that nobody serves is replaced; one that is served is
 * refused. The file is for its owner and `group`, if this machine has that group.
 */
export async function listen(
  server: Server,
  text: string,
  options: { group?: string; secure?: boolean } = {},
): Promise<string> {
  const address = parseListenAddress(text);
  if (!address) throw new Refusal(`cannot listen on '${text}': expected host:port or unix:///path`);
  if ('path' in address) {
    await listenOnPath(server, address.path, options.group);
    return `unix://${address.path}`;
  }
  await bound(server, text, () => server.listen(address.port, address.host));
  const actual = server.address();
  const port = typeof actual === 'object' && actual ? actual.port : address.port;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const scheme = options.secure ? 'https' : 'http';
  return `${text.startsWith('tcp://') ? 'tcp' : scheme}://${host}:${port}`;
}

async function listenOnPath(server: Server, path: string, group: string | undefined): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  await removeStaleSocket(path);
  // Bound for the owner alone, opened to the group afterwards: no moment at which others could connect.
  const umask = process.umask(0o177);
  try {
    await bound(server, path, () => server.listen(path));
  } finally {
    process.umask(umask);
  }
  const gid = group ? groupId(group) : undefined;
  if (gid !== undefined && process.getuid?.() === 0) chownSync(path, 0, gid);
  chmodSync(path, 0o660);
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) throw new Refusal(`${path} is in the way: it is not a socket`);
  if (await answers(path)) throw new Refusal(`another process already serves ${path}`);
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => resolve(systemCode(error) === 'EAGAIN'));
  });
}

function bound(server: Server, text: string, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const reason = systemCode(error) === 'EADDRINUSE' ? 'the address is in use' : error.message;
      reject(new Refusal(`cannot listen on ${text}: ${reason}`, { cause: error }));
    };
    server.once('error', failed);
    server.once('listening', () => {
      server.off('error', failed);
      resolve();
    });
    start();
  });
}
