import { existsSync } from 'node:fs';

const binFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Whether one of these is there: a path, or the name of a program in the usual folders. */
export function anyExists(/** @type {readonly string[]} */ names) {
  return names.some((name) =>
    name.startsWith('/') ? existsSync(name) : binFolders.some((folder) => existsSync(`${folder}/${name}`)),
  );
}
