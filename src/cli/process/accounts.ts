import { readFileSync } from 'node:fs';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** A user of this machine, by name. */
export function account(name: string): Account | undefined {
  const fields = entry('/etc/passwd', name);
  return fields && { name, uid: Number(fields[2]), gid: Number(fields[3]) };
}

/** The id of a group of this machine. */
export function groupId(name: string): number | undefined {
  const fields = entry('/etc/group', name);
  return fields && Number(fields[2]);
}

function entry(file: string, name: string): string[] | undefined {
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .find((candidate) => candidate.startsWith(`${name}:`));
  return line?.split(':');
}
