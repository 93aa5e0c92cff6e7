import { isKind } from '#errors/errors.ts';
import type { Bridge } from '../frontend/frontend.ts';
import type { Ref } from '../solve/ref.ts';
import { ClassicFailure } from './classic-failure.ts';

/**
 * BuildKit gives to root what is to belong to somebody whom the image does not know; the classic builder has always
 * refused that. `owner`: `user[:group]`, expanded. Throws `ClassicFailure`.
 */
export async function refuseUnknownOwner(
  owner: string,
  { ref, bridge, instruction }: { ref: Ref; bridge: Bridge; instruction: string },
): Promise<void> {
  const [user = '', group = ''] = owner.split(':', 2);
  for (const [name, file, what] of [
    [user, '/etc/passwd', 'user'],
    [group, '/etc/group', 'group'],
  ] as const) {
    if (name === '' || name === 'root' || /^\d+$/.test(name)) continue;
    if (await isListed(name, file, { ref, bridge })) continue;
    const why = `can't find ${what === 'user' ? 'uid' : 'gid'} for ${what} ${name}: no such ${what}: ${name}`;
    throw new ClassicFailure(
      `${instruction} failed: unable to convert uid/gid chown string to host mapping: ${why}`,
      { cause: undefined },
    );
  }
}

async function isListed(
  name: string,
  file: string,
  { ref, bridge }: { ref: Ref; bridge: Bridge },
): Promise<boolean> {
  try {
    const text = Buffer.from(await bridge.readFile(ref, file)).toString('utf8');
    return text.split('\n').some((line) => line.startsWith(`${name}:`));
  } catch (error) {
    if (isKind(error, 'not-found')) return false;
    throw error;
  }
}
