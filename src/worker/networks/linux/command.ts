import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { unavailable } from '#errors/errors.ts';
import { exitCodeOf, spawnProcess } from '../../runtime/process/spawn-process.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Debian's packages of the tools that are not in iptables. */
const PACKAGES: Readonly<Record<string, string>> = {
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
  'mkfs.ext4': 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  resize2fs: 'e2fsprogs',
  losetup: 'mount',
  mount: 'mount',
  umount: 'mount',
  fallocate: 'util-linux',
  cp: 'coreutils',
};

/**
 * Runs a system tool with `input` on its stdin and answers its output. It starts before this function first waits,
 * in the network namespace that the thread is in. Throws `unavailable` with its last words.
 */
export async function runCommand(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = await spawnProcess(find(command), args, {
    env: { PATH },
    stdio: ['write', 'read', 'read'],
    here: true,
  });
  const [stdin, stdout, stderr] = child.stdio;
  // It ended before it read: its exit code says why.
  stdin!.on('error', () => {});
  stdin!.end(input);
  const [output, complaints, exit] = await Promise.all([text(stdout!), text(stderr!), child.exited]);
  const code = exitCodeOf(exit);
  if (code === 0) return output;
  throw unavailable(`${command} failed (exit code ${code}): ${complaints.trim()}`);
}

const found = new Map<string, string>();

function find(command: string): string {
  const known = found.get(command);
  if (known) return known;
  const path = PATH.split(':')
    .map((folder) => `${folder}/${command}`)
    .find((candidate) => existsSync(candidate));
  if (!path)
    throw unavailable(
      `cannot run ${command}: it is not installed (apt-get install ${PACKAGES[command] ?? 'iptables'})`,
    );
  found.set(command, path);
  return path;
}
