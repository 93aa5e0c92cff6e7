import { chmod, chown, mkdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isKind, notFound } from '#errors/errors.ts';
import type { Mounter } from '#worker/snapshots/mount.ts';
import type { ExecMount } from '../../llb/op.ts';
import type { BuildSession } from '../../session/build-session.ts';

type SecretMount = Extract<ExecMount, { type: 'secret' }>;
type AgentMount = Extract<ExecMount, { type: 'ssh' }>;

/** As many as a client may name, of as much as a secret may be. */
const SIZE = '64m';

/** A step's secrets and agents' sockets: in memory, where no layer, no cache and no disk can have them. */
export class PrivateFiles implements AsyncDisposable {
  readonly #directory: string;
  readonly #mounter: Mounter;
  readonly #agents = new AsyncDisposableStack();
  #count = 0;

  private constructor(directory: string, mounter: Mounter) {
    this.#directory = directory;
    this.#mounter = mounter;
  }

  /** `directory` does not exist. */
  static async open(directory: string, mounter: Mounter): Promise<PrivateFiles> {
    await mkdir(directory, { mode: 0o700 });
    const options = ['nosuid', 'nodev', 'noexec', 'mode=700', `size=${SIZE}`];
    await mounter.mount({ type: 'tmpfs', source: 'tmpfs', options }, directory);
    return new PrivateFiles(directory, mounter);
  }

  /** Path of the secret's file; undefined for an optional one that the client does not have. Throws `not-found`. */
  async secret(mount: SecretMount, session: BuildSession, signal: AbortSignal): Promise<string | undefined> {
    const value = await secretOf(mount, session, signal);
    if (value === undefined) return undefined;
    const path = join(this.#directory, `${this.#count++}`);
    await writeFile(path, value, { mode: 0o600 });
    await chown(path, mount.uid ?? 0, mount.gid ?? 0);
    await chmod(path, mount.mode ?? 0o400);
    return path;
  }

  /** Path of a socket that leads to the client's agent; as `secret` when there is none. */
  async agent(mount: AgentMount, session: BuildSession, signal: AbortSignal): Promise<string | undefined> {
    const directory = join(this.#directory, `${this.#count++}`);
    await mkdir(directory, { mode: 0o700 });
    const { id, uid = 0, gid = 0, mode = 0o600 } = mount;
    try {
      const agent = await session.agent(id, { directory, uid, gid, mode, signal });
      return this.#agents.use(agent).path;
    } catch (error) {
      if (mount.optional && isMissing(error)) return undefined;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agents.disposeAsync();
    await this.#mounter.unmount(this.#directory);
    await rmdir(this.#directory);
  }
}

/** A secret's value; undefined for an optional one that the client does not have. Throws `not-found`. */
export async function secretOf(
  { id, optional = false }: { id: string; optional?: boolean },
  session: BuildSession,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    return await session.secret(id, { signal });
  } catch (error) {
    if (!isMissing(error)) throw error;
    if (optional) return undefined;
    throw notFound(`secret ${id}: not found`, { cause: error });
  }
}

function isMissing(error: unknown): boolean {
  return isKind(error, 'not-found') || isKind(error, 'unsupported');
}
