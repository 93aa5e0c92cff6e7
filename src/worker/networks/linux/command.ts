import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { unavailable } from '#errors/errors.ts';
import { exitCodeOf, spawnProcess } from '../../runtime/process/spawn-process.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What flock exits with when somebody else keeps the lock; none of the tools does. */
const HELD = 117;

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
  flock: 'util-linux',
  cp: 'coreutils',
};

/**
 * Runs a system tool with `input` on its stdin and answers its output. It starts before this function first waits,
 * in the network namespace that the thread is in. Throws `unavailable` with its last words.
 */
export async function runCommand(command: string, args: readonly string[], input = ''): Promise<string> {
  return await run(command, find(command), args, input);
}

/**
 * As `runCommand`, alone among those that name the same lock file: also with one that outlives the process that ran it,
 * which keeps the lock to its end. Waits for `patience` seconds. Throws `unavailable`.
 */
export async function runLocked(
  { lock, patience }: { lock: string; patience: number },
  command: string,
  args: readonly string[],
): Promise<string> {
  const options = ['--exclusive', '--timeout', String(patience), '--conflict-exit-code', String(HELD)];
  return await run(command, find('flock'), [...options, lock, find(command), ...args], '');
}

async function run(command: string, path: string, args: readonly string[], input: string): Promise<string> {
  const child = await spawnProcess(path, args, {
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
  if (code === HELD && path === find('flock'))
    throw unavailable(`${command} waits for one that an earlier process has started`);
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
