import { invalid } from '#errors/errors.ts';
import { resolveUser } from '#worker/runtime/spec/user.ts';
import type { Owner } from '../files/rooted-directory.ts';

/**
 * `--chown`'s `user[:group]`, names looked up in the root file system. A numeric user without a group is its own
 * group; a named one has the group that its image gives it. Throws `invalid`.
 */
export async function parseOwner(root: string, text: string): Promise<Owner> {
  const [user = '', group] = text.split(':', 2);
  const numeric = /^\d+$/.test(user);
  const wanted = group ? `${user}:${group}` : numeric ? `${user}:${user}` : user;
  try {
    const { uid, gid } = await resolveUser(root, wanted);
    return { uid, gid };
  } catch (cause) {
    throw invalid(
      `unable to convert uid/gid chown string to host mapping: can't find uid for user ${user}: no such user or group: ${text}`,
      { cause },
    );
  }
}
