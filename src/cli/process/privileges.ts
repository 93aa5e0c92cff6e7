import { chownSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Refusal } from '../refusal.ts';
import { type Account, account } from './accounts.ts';

/** The account that a role started as root changes to; undefined when it stays what it is. */
export function accountToBecome(user: string): Account | undefined {
  if (user === '' || process.getuid?.() !== 0) return undefined;
  const found = account(user);
  if (found) return found;
  throw new Refusal(
    `there is no user '${user}' to run the registry: create it with \`useradd --system ${user}\``,
  );
}

/** Makes a directory that belongs to the account, handing over what is in it from a start as someone else. */
export function handOver(directory: string, owner: Account): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (lstatSync(directory).uid !== owner.uid) chownTree(directory, owner);
}

/** Becomes the account for good. All code must be loaded: the account may not be able to read it. */
export function become(who: Account): void {
  process.chdir('/');
  process.setgroups?.([who.gid]);
  process.setgid?.(who.gid);
  process.setuid?.(who.uid);
}

/** Children first, so that a walk that was cut short is seen by the next start. */
function chownTree(path: string, owner: Account): void {
  const found = lstatSync(path);
  if (found.isDirectory()) for (const name of readdirSync(path)) chownTree(join(path, name), owner);
  if (!found.isSymbolicLink()) chownSync(path, owner.uid, owner.gid);
}
