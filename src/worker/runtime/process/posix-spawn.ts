import { Buffer } from 'node:buffer';
import { constants } from 'node:os';
import koffi, { type KoffiFunc } from 'koffi';

/**
 * posix_spawn(3) and what belongs to it. Node's own spawn forks: the kernel copies the page tables of the whole
 * worker (25 ms at 250 MB), while nothing else runs. This is a vfork: a millisecond, on a thread of the pool.
 */

const lib = koffi.load('libc.so.6');
const pipe2 = lib.func('int pipe2(_Out_ int *fds, int flags)');
const waitpid = lib.func('int waitpid(int pid, _Out_ int *status, int options)');
const posixSpawn = lib.func(
  'int posix_spawn(_Out_ int *pid, const char *path, const void *actions, const void *attributes, const char **argv, const char **env)',
);
const actionsInit = lib.func('int posix_spawn_file_actions_init(void *actions)');
const actionsDestroy = lib.func('int posix_spawn_file_actions_destroy(void *actions)');
const actionsDup2 = lib.func('int posix_spawn_file_actions_adddup2(void *actions, int fd, int target)');
const actionsOpen = lib.func(
  'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, uint32 mode)',
);
const actionsChdir = lib.func('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)');
const attributesInit = lib.func('int posix_spawnattr_init(void *attributes)');
const attributesFlags = lib.func('int posix_spawnattr_setflags(void *attributes, int16 flags)');
const attributesDefault = lib.func(
  'int posix_spawnattr_setsigdefault(void *attributes, const void *signals)',
);
const attributesMask = lib.func('int posix_spawnattr_setsigmask(void *attributes, const void *signals)');

/** More than glibc's structures need on any architecture. */
const STRUCTURE_BYTES = 1024;
const SIGNAL_SET_BYTES = 128;
const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
const O_CLOEXEC = 0o2000000;
const WNOHANG = 1;
const ERROR_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/**
 * A session of its own, so that signals for our terminal are not for it; and the signals as any program expects
 * them, for Node ignores SIGPIPE.
 */
const ATTRIBUTES = Buffer.alloc(STRUCTURE_BYTES);
check(attributesInit(ATTRIBUTES), 'posix_spawnattr_init');
check(attributesFlags(ATTRIBUTES, SETSIGDEF | SETSIGMASK | SETSID), 'posix_spawnattr_setflags');
check(attributesDefault(ATTRIBUTES, Buffer.alloc(SIGNAL_SET_BYTES, 0xff)), 'posix_spawnattr_setsigdefault');
check(attributesMask(ATTRIBUTES, Buffer.alloc(SIGNAL_SET_BYTES)), 'posix_spawnattr_setsigmask');

export interface SpawnPlan {
  /** Absolute. */
  readonly path: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
  /** The descriptor that becomes 0, 1, 2 …; undefined is /dev/null. All other descriptors are to be close-on-exec. */
  readonly descriptors: readonly (number | undefined)[];
  /** Before this function first waits, on the calling thread: for a process in the namespace that the thread is in. */
  readonly here: boolean;
}

/** The new process's ID. Rejects with what execve said (`ENOENT`, `EACCES` …). */
export async function spawn(plan: SpawnPlan): Promise<number> {
  const actions = Buffer.alloc(STRUCTURE_BYTES);
  check(actionsInit(actions), 'posix_spawn_file_actions_init');
  try {
    if (plan.cwd !== undefined) check(actionsChdir(actions, plan.cwd), 'chdir');
    for (const [target, descriptor] of plan.descriptors.entries()) {
      if (descriptor === undefined) check(actionsOpen(actions, target, '/dev/null', 2, 0), 'open');
      // Later targets would overwrite it before it is used. The worker's own descriptors are never that low.
      else if (descriptor < plan.descriptors.length)
        throw new RangeError(`descriptor ${descriptor} is too low`);
      else check(actionsDup2(actions, descriptor, target), 'dup2');
    }
    const pid = [0];
    const argv = [plan.path, ...plan.args, null];
    const env = [...Object.entries(plan.env).map(([name, value]) => `${name}=${value}`), null];
    const call = [pid, plan.path, actions, ATTRIBUTES, argv, env];
    if (!plan.here) await inBackground(posixSpawn, call, plan.path);
    else {
      const result: number = posixSpawn(...call);
      if (result !== 0) throw failure(result, 'posix_spawn', plan.path);
    }
    return pid[0]!;
  } finally {
    actionsDestroy(actions);
  }
}

/** Both ends close on exec. */
export function pipe(): { readEnd: number; writeEnd: number } {
  const ends = [0, 0];
  if (pipe2(ends, O_CLOEXEC) < 0) throw failure(koffi.errno(), 'pipe2', '');
  return { readEnd: ends[0]!, writeEnd: ends[1]! };
}

/** How a child has ended; undefined while it has not. Collects it: asked once more, it is nobody's child. */
export function collect(pid: number): { code: number | null; signal: number | null } | undefined {
  const status = [0];
  const found = waitpid(pid, status, WNOHANG);
  if (found === 0) return undefined;
  // Somebody else has collected it: how it ended is lost.
  if (found < 0) return { code: null, signal: null };
  const signal = status[0]! & 0x7f;
  return signal === 0 ? { code: (status[0]! >> 8) & 0xff, signal: null } : { code: null, signal };
}

function inBackground(
  call: KoffiFunc<(...args: unknown[]) => number>,
  args: unknown[],
  path: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error: Error | null, result: number) => {
      if (error) reject(error);
      else if (result !== 0) reject(failure(result, 'posix_spawn', path));
      else resolve();
    });
  });
}

function check(result: number, call: string): void {
  if (result !== 0) throw failure(result, call, '');
}

function failure(errno: number, syscall: string, path: string): NodeJS.ErrnoException {
  const code = ERROR_NAMES.get(errno) ?? `errno ${errno}`;
  return Object.assign(new Error(`${code}: ${syscall} '${path}'`), { code, errno: -errno, syscall, path });
}
