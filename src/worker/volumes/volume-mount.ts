import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { unavailable } from '#errors/errors.ts';
import type { Mount } from '#worker/snapshots/mount.ts';
import type { VolumeRecord } from './volumes-repository.ts';

/** Whether a volume's data is somewhere else and appears by a mount. */
export const needsMount = ({ options }: Pick<VolumeRecord, 'options'>): boolean => Boolean(options.device);

/** The mount that a volume's options (`type`, `device`, `o`, as in fstab) ask for. */
export async function volumeMount({ options }: Pick<VolumeRecord, 'options'>): Promise<Mount> {
  const given = (options.o ?? '').split(',').filter((option) => option !== '');
  const binds = given.some((option) => option === 'bind' || option === 'rbind');
  const type = binds ? 'bind' : options.type || 'none';
  const rest = type === 'bind' ? given.filter((option) => option !== 'bind') : await resolved(type, given);
  return { type, source: options.device ?? '', options: rest };
}

/** The kernel's network file systems take their server's address, not its name. */
async function resolved(type: string, options: readonly string[]): Promise<string[]> {
  if (!type.startsWith('nfs') && type !== 'cifs') return [...options];
  return Promise.all(
    options.map(async (option) => {
      const server = /^addr=(.+)$/.exec(option)?.[1];
      if (server === undefined || isIP(server)) return option;
      try {
        return `addr=${(await lookup(server)).address}`;
      } catch (cause) {
        throw unavailable(`error resolving passed in network volume address: ${server}`, { cause });
      }
    }),
  );
}
