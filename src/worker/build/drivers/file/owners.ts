import { invalid } from '#errors/errors.ts';
import { readRootfsFile } from '#worker/runtime/spec/rootfs-file.ts';
import type { Owner } from '../../files/rooted-directory.ts';
import type { ChownOptions, UserOption } from '../../llb/op.ts';

/** Directory in which an input's `/etc/passwd` can be read. */
export type RootOf = (input: number) => Promise<string>;

/**
 * Who is to own files; a user by name brings its group. A name that is nowhere is root's, as with BuildKit. Throws
 * `invalid` where there is no file system to look a name up in.
 */
export async function resolveOwner(options: ChownOptions, rootOf: RootOf): Promise<Owner> {
  const [uid, ownGid] = await lookUp(options.user, '/etc/passwd', 'user', rootOf);
  const [gid] = options.group ? await lookUp(options.group, '/etc/group', 'group', rootOf) : [ownGid];
  return { uid, gid };
}

async function lookUp(
  option: UserOption | undefined,
  file: string,
  kind: 'user' | 'group',
  rootOf: RootOf,
): Promise<[id: number, gid: number]> {
  if (!option) return [0, 0];
  if ('byId' in option) return [option.byId, option.byId];
  const { name, input } = option.byName;
  if (input === undefined) throw invalid(`invalid missing ${kind} mount`);
  const text = readRootfsFile(await rootOf(input), file);
  const entry = text
    .split('\n')
    .map((line) => line.trim().split(':'))
    .find(([first]) => first === name);
  // passwd: name, password, uid, gid; group: name, password, gid.
  const [, , id, gid] = entry ?? [];
  return [Number(id) || 0, Number(kind === 'user' ? gid : id) || 0];
}
