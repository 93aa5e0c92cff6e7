import { invalid } from '#errors/errors.ts';
import { readRootfsFile } from './rootfs-file.ts';

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** With the primary group: without it, files of that group could be reached through a set-group-id parent. */
  readonly additionalGids: number[];
  /** From passwd; `/` for a user that has no entry. */
  readonly home: string;
}

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

const MAX_ID = 2 ** 31 - 1;

/**
 * Looks `name|uid[:group|gid]` up in the image's own /etc/passwd and /etc/group. Numbers need no entry.
 * Throws `invalid` in Docker's words.
 */
export async function resolveUser(
  rootfs: string,
  user = '',
  groupAdd: readonly string[] = [],
): Promise<ResolvedUser> {
  // One colon at most: 'a:b:c' has the group 'b:c', which no group file can contain.
  const colon = user.indexOf(':');
  const userPart = colon < 0 ? user : user.slice(0, colon);
  const groupPart = colon < 0 ? '' : user.slice(colon + 1);

  const passwd = parsePasswd(readRootfsFile(rootfs, '/etc/passwd'));
  const entry = findUser(passwd, userPart);
  const uid = entry?.uid ?? numericId(userPart || '0');
  if (uid === undefined) throw invalid(`unable to find user ${userPart}: no matching entries in passwd file`);

  const needsGroups = groupPart !== '' || groupAdd.length > 0 || entry !== undefined;
  const groups = needsGroups ? parseGroup(readRootfsFile(rootfs, '/etc/group')) : [];
  const gid = groupPart === '' ? (entry?.gid ?? 0) : groupId(groups, groupPart);
  // A group that was asked for takes the place of all that the user is a member of.
  const member =
    groupPart === '' && entry ? groups.filter((group) => group.members.includes(entry.name)) : [];
  const added = groupAdd.map((group) => groupId(groups, group));
  return {
    uid,
    gid,
    additionalGids: [...new Set([gid, ...member.map((group) => group.gid), ...added])],
    home: entry?.home || '/',
  };
}

function findUser(passwd: PasswdEntry[], user: string): PasswdEntry | undefined {
  const wanted = user || '0';
  const uid = numericId(wanted);
  return passwd.find((entry) => entry.name === wanted) ?? passwd.find((entry) => entry.uid === uid);
}

function groupId(groups: GroupEntry[], group: string): number {
  const found = groups.find((entry) => entry.name === group)?.gid ?? numericId(group);
  if (found === undefined) throw invalid(`unable to find group ${group}: no matching entries in group file`);
  return found;
}

function numericId(text: string): number | undefined {
  if (!/^-?\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (id < 0 || id > MAX_ID) throw invalid(`uids and gids must be in range 0-${MAX_ID}`);
  return id;
}

function parsePasswd(text: string): PasswdEntry[] {
  return records(text).map(([name = '', , uid = '', gid = '', , home = '']) => ({
    name,
    uid: Number.parseInt(uid, 10),
    gid: Number.parseInt(gid, 10) || 0,
    home,
  }));
}

function parseGroup(text: string): GroupEntry[] {
  return records(text)
    .map(([name = '', , gid = '', members = '']) => ({
      name,
      gid: Number.parseInt(gid, 10),
      members: members.split(',').filter(Boolean),
    }))
    .filter((group) => Number.isSafeInteger(group.gid));
}

const records = (text: string): string[][] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
