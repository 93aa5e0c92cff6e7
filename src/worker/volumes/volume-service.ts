import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock } from '#async/keyed-lock.ts';
import type { WorkerDatabase } from '#database/worker/open.ts';
import { conflict, isKind, notFound, systemCode, unavailable } from '#errors/errors.ts';
import type { EventPublisher } from '#worker/events/event-publisher.ts';
import type { Mounter } from '#worker/snapshots/mount.ts';
import { directorySize } from './directory-size.ts';
import { needsMount, volumeMount } from './volume-mount.ts';
import { type CreateVolumeRequest, planVolume } from './volume-request.ts';
import type { Volume, Volumes } from './volumes.ts';
import { type VolumeRecord, VolumesRepository } from './volumes-repository.ts';

export interface VolumeServiceDependencies {
  readonly database: WorkerDatabase;
  readonly events: EventPublisher;
  readonly mounter: Mounter;
  /** A volume's data is in `<dataDir>/volumes/<name>/_data`. */
  readonly options: { readonly dataDir: string };
}

/** What a volume takes, and how many containers use it. */
export interface VolumeUsage {
  readonly volume: Volume;
  /** Bytes; -1 when its data is elsewhere. */
  readonly size: number;
  readonly users: readonly string[];
}

/** Directories of volumes that are being removed wait here; no volume can have that name. */
const TRASH = '.removing';

/** The worker's volumes. `reconcile` comes first. */
export class VolumeService implements Volumes {
  readonly #repository: VolumesRepository;
  readonly #events: EventPublisher;
  readonly #mounter: Mounter;
  readonly #root: string;
  readonly #locks = new KeyedLock();

  constructor({ database, events, mounter, options }: VolumeServiceDependencies) {
    this.#repository = new VolumesRepository(database);
    this.#events = events;
    this.#mounter = mounter;
    this.#root = join(options.dataDir, 'volumes');
  }

  async create(request: CreateVolumeRequest): Promise<Volume> {
    const planned = planVolume(request);
    return this.#locks.run(planned.name, async () => {
      const existing = await this.#repository.get(planned.name);
      if (existing) {
        if (differ(existing.options, request.options)) {
          throw conflict(`a volume with the name ${planned.name} already exists with different options`);
        }
        return this.#volume(existing);
      }
      if ((await this.#repository.removing()).includes(planned.name)) await this.#finishRemoval(planned.name);
      // The directory first: a volume that is known has one.
      await mkdir(this.#mountpoint(planned.name), { recursive: true, mode: 0o755 });
      await this.#repository.insert(planned);
      this.#announce('create', planned.name);
      return this.#volume(planned);
    });
  }

  async get(name: string): Promise<Volume | undefined> {
    const record = await this.#repository.get(name);
    return record && this.#volume(record);
  }

  /** Throws `not-found` in the engine's words. */
  async inspect(name: string): Promise<Volume> {
    const volume = await this.get(name);
    if (!volume) throw notFound(`get ${name}: no such volume`);
    return volume;
  }

  async list(): Promise<{ volume: Volume; users: readonly string[] }[]> {
    const users = await this.#repository.allUsers();
    const records = await this.#repository.list();
    return records.map((record) => ({ volume: this.#volume(record), users: users.get(record.name) ?? [] }));
  }

  acquire(name: string, containerId: string): Promise<Volume> {
    return this.#locks.run(name, async () => {
      const record = await this.#repository.get(name);
      if (!record) throw notFound(`get ${name}: no such volume`);
      if (needsMount(record)) await this.#mount(record);
      await this.#repository.addUser(name, containerId);
      return this.#volume(record);
    });
  }

  release(name: string, containerId: string): Promise<void> {
    return this.#locks.run(name, async () => {
      await this.#repository.removeUser(name, containerId);
      const record = await this.#repository.get(name);
      if (!record || !needsMount(record)) return;
      if ((await this.#repository.users(name)).length === 0)
        await this.#mounter.unmount(this.#mountpoint(name));
    });
  }

  remove(name: string, options: { force?: boolean } = {}): Promise<void> {
    return this.#locks.run(name, async () => {
      if (!(await this.#repository.get(name))) {
        if (options.force) return;
        throw notFound(`get ${name}: no such volume`);
      }
      const users = await this.#repository.users(name);
      if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(', ')}]`);
      await this.#repository.markRemoving(name);
      await this.#finishRemoval(name);
      this.#announce('destroy', name);
    });
  }

  /** Removes volumes that nobody uses and that `selects` names; answers which, and the bytes they took. */
  async prune(selects: (volume: Volume) => boolean): Promise<{ names: string[]; reclaimed: number }> {
    const names: string[] = [];
    let reclaimed = 0;
    for (const { volume, users } of await this.list()) {
      if (users.length > 0 || !selects(volume)) continue;
      const size = await this.#size(volume);
      try {
        await this.remove(volume.name);
      } catch (error) {
        // Somebody began to use it, or removed it, meanwhile.
        if (isKind(error, 'conflict') || isKind(error, 'not-found')) continue;
        throw error;
      }
      names.push(volume.name);
      reclaimed += Math.max(0, size);
    }
    const attributes = { reclaimed: String(reclaimed) };
    this.#events.publish({ type: 'volume', action: 'prune', actor: { id: '', attributes } });
    return { names, reclaimed };
  }

  /** For `docker system df`: walks through all data. */
  async usage(options: { signal?: AbortSignal } = {}): Promise<VolumeUsage[]> {
    const usages: VolumeUsage[] = [];
    for (const { volume, users } of await this.list()) {
      usages.push({ volume, users, size: await this.#size(volume, options) });
    }
    return usages;
  }

  /** Forgets users that are no more, finishes removals that were decided, mounts again what is in use. */
  async reconcile(containerIds: readonly string[]): Promise<void> {
    const known = new Set(containerIds);
    await mkdir(join(this.#root, TRASH), { recursive: true, mode: 0o711 });
    for (const name of await this.#repository.removing()) await this.#finishRemoval(name);
    for (const entry of await readdir(join(this.#root, TRASH)))
      await this.#discard(join(this.#root, TRASH, entry));
    for (const [name, users] of await this.#repository.allUsers()) {
      for (const user of users) if (!known.has(user)) await this.release(name, user);
      const record = await this.#repository.get(name);
      const isUsed = users.some((user) => known.has(user));
      // A server that is away now is no reason not to start; the container that needs it will say so.
      if (record && isUsed && needsMount(record)) await this.#mount(record).catch(() => {});
    }
  }

  async #mount(record: VolumeRecord): Promise<void> {
    const target = this.#mountpoint(record.name);
    if ((await this.#mounter.mountsBelow(join(this.#root, record.name))).includes(target)) return;
    const mount = await volumeMount(record);
    try {
      await this.#mounter.mount(mount, target);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw unavailable(`error while mounting volume '${target}': ${reason}`, { cause });
    }
  }

  /** Out of sight in one step, then deleted; a crash in between is continued by `reconcile`. */
  async #finishRemoval(name: string): Promise<void> {
    const directory = join(this.#root, name);
    const doomed = join(this.#root, TRASH, randomBytes(8).toString('hex'));
    await this.#mounter.unmount(this.#mountpoint(name));
    await mkdir(join(this.#root, TRASH), { recursive: true, mode: 0o711 });
    try {
      await rename(directory, doomed);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
    await this.#repository.delete(name);
    await this.#discard(doomed);
  }

  /** Never deletes through a mount: what is behind one belongs to somebody else. */
  async #discard(path: string): Promise<void> {
    for (const mount of await this.#mounter.mountsBelow(path)) await this.#mounter.unmount(mount);
    if ((await this.#mounter.mountsBelow(path)).length > 0)
      throw unavailable(`something is mounted below ${path}`);
    await rm(path, { recursive: true, force: true });
  }

  async #size(volume: Volume, options: { signal?: AbortSignal } = {}): Promise<number> {
    if (needsMount(volume)) return -1;
    try {
      return await directorySize(volume.mountpoint, options);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return 0;
      throw error;
    }
  }

  #volume(record: VolumeRecord): Volume {
    return { ...record, driver: 'local', mountpoint: this.#mountpoint(record.name) };
  }

  #mountpoint(name: string): string {
    return join(this.#root, name, '_data');
  }

  #announce(action: 'create' | 'destroy', name: string): void {
    this.#events.publish({ type: 'volume', action, actor: { id: name, attributes: { driver: 'local' } } });
  }
}

/** A request without options agrees with any. */
function differ(
  have: Readonly<Record<string, string>>,
  want: Readonly<Record<string, string>> | undefined,
): boolean {
  if (!want || Object.keys(want).length === 0) return false;
  const keys = new Set([...Object.keys(have), ...Object.keys(want)]);
  return [...keys].some((key) => have[key] !== want[key]);
}
