import { randomBytes } from 'node:crypto';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock } from '#async/keyed-lock.ts';
import { unlessGivenUp } from '#async/unless-given-up.ts';
import { canceled } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { Mounter } from '#worker/snapshots/mount.ts';
import { volatileMount } from '#worker/snapshots/mount-options.ts';
import type { Snapshotter } from '#worker/snapshots/snapshotter.ts';
import type { CacheContents, CacheUsage } from '../../cache/cache-contents.ts';
import type { CacheMountRepository, CacheMountRow } from './cache-mount-repository.ts';

/** Names of the snapshots that hold cache mounts' files. */
const SNAPSHOT_PREFIX = 'cache-mount-';

export interface CacheMountRequest {
  readonly id: string;
  readonly sharing: 'shared' | 'private' | 'locked';
  /** What a new one begins with. */
  readonly seed: Digest | undefined;
}

/** Mounts of the same name are the same directory. */
export function cacheMountName({ id, seed }: CacheMountRequest): string {
  return JSON.stringify([id, seed ?? null]);
}

interface OpenMount {
  readonly root: string;
  users: number;
  /** Whoever has it wants nobody else in it. */
  readonly alone: boolean;
}

export interface CacheMountsPorts {
  readonly rows: CacheMountRepository;
  readonly snapshotter: Snapshotter;
  readonly mounter: Mounter;
}

/**
 * Directories that steps find again as the ones before them left them. Each is an active snapshot, which stands on
 * what it began with. Beyond `maxBytes` the least recently used ones go.
 */
export class CacheMounts implements CacheContents {
  readonly #ports: CacheMountsPorts;
  readonly #options: { readonly directory: string; readonly maxBytes: number };
  readonly #open = new Map<string, OpenMount>();
  readonly #lock = new KeyedLock();
  /** What was begun anew, by for whom. */
  readonly #renewed = new WeakMap<object, Set<string>>();
  #changed = Promise.withResolvers<void>();
  #measuring: Promise<unknown> = Promise.resolve();

  /** `directory` is for mount points. */
  constructor(ports: CacheMountsPorts, options: { directory: string; maxBytes: number }) {
    this.#ports = ports;
    this.#options = options;
  }

  /**
   * Waits for a locked one to become free. `renewFor` is somebody who wants nothing of what others have left: what is
   * there when it first comes is not found any more, by anybody. Throws `canceled`.
   */
  async open(
    request: CacheMountRequest,
    { signal, renewFor }: { signal: AbortSignal; renewFor?: object | undefined },
  ): Promise<{ readonly root: string } & AsyncDisposable> {
    const name = cacheMountName(request);
    if (renewFor) await this.#renew(name, renewFor);
    for (;;) {
      if (signal.aborted) throw canceled();
      const changed = this.#changed.promise;
      const found = await this.#lock.run(name, () => this.#take(name, request));
      if (found) return { root: found.root, [Symbol.asyncDispose]: () => this.#leave(name, found) };
      await unlessGivenUp(changed, { signal });
    }
  }

  async usage(): Promise<CacheUsage[]> {
    await this.#measuring;
    return (await this.#ports.rows.all()).map((row) => ({
      id: row.key,
      type: 'exec.cachemount',
      kind: 'exec',
      description: row.description,
      bytes: row.bytes,
      inUse: this.#open.has(row.key),
      createdAt: new Date(row.created_at),
      lastUsedAt: new Date(row.last_used_at),
      usageCount: row.usage_count,
    }));
  }

  async remove(id: string): Promise<number | undefined> {
    await this.#measuring;
    const row = (await this.#ports.rows.all()).find(({ key }) => key === id);
    const removed = row && (await this.#lock.run(row.name, () => this.#remove(row)));
    return removed ? row.bytes : undefined;
  }

  /** Call once at start, when nothing is mounted any more: makes the table and the snapshots agree. */
  async reconcile(): Promise<void> {
    const { rows, snapshotter } = this.#ports;
    const known = new Set((await rows.all()).map(({ key }) => key));
    for await (const { key } of snapshotter.walk()) {
      if (key.startsWith(SNAPSHOT_PREFIX) && !known.delete(key)) await snapshotter.remove(key);
    }
    for (const lost of known) await rows.delete(lost);
  }

  /** Resolves when the sizes of what was used are known. */
  async settled(): Promise<void> {
    await this.#measuring;
  }

  /** undefined: it has to be waited for. */
  async #take(
    name: string,
    { id, sharing, seed }: CacheMountRequest,
  ): Promise<{ key: string; root: string } | undefined> {
    const known = await this.#ports.rows.named(name);
    const alone = sharing !== 'shared';
    if (sharing === 'private') {
      const free = known.find(({ key }) => !this.#open.has(key));
      return this.#mount(free?.key ?? (await this.#create(name, id, seed)), alone);
    }
    const key = known[0]?.key ?? (await this.#create(name, id, seed));
    const open = this.#open.get(key);
    if (!open) return this.#mount(key, alone);
    if (alone || open.alone) return undefined;
    open.users++;
    return { key, root: open.root };
  }

  async #renew(name: string, renewFor: object): Promise<void> {
    const renewed = this.#renewed.get(renewFor) ?? new Set();
    this.#renewed.set(renewFor, renewed);
    if (renewed.has(name)) return;
    renewed.add(name);
    await this.#lock.run(name, async () => {
      for (const row of await this.#ports.rows.named(name)) {
        // One that a command has goes like any that is not used.
        if (!(await this.#remove(row))) await this.#ports.rows.rename(row.key, `${name} ${row.key}`);
      }
    });
  }

  async #create(name: string, id: string, seed: Digest | undefined): Promise<string> {
    const key = `${SNAPSHOT_PREFIX}${randomBytes(16).toString('hex')}`;
    await this.#ports.snapshotter.prepare(key, seed);
    await this.#ports.rows.insert({ key, name, description: id });
    return key;
  }

  async #mount(key: string, alone: boolean): Promise<{ key: string; root: string }> {
    const root = join(this.#options.directory, key);
    await mkdir(root, { recursive: true });
    await this.#ports.mounter.mount(volatileMount(await this.#ports.snapshotter.mount(key)), root);
    this.#open.set(key, { root, users: 1, alone });
    return { key, root };
  }

  async #leave(name: string, { key }: { key: string }): Promise<void> {
    await this.#lock.run(name, async () => {
      const open = this.#open.get(key);
      if (!open || --open.users > 0) return;
      await this.#ports.mounter.unmount(open.root);
      await rmdir(open.root);
      this.#open.delete(key);
    });
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    // Nobody waits for that; what fails is counted after the next use.
    this.#measuring = this.#measuring.then(() => this.#measure(key)).catch(() => undefined);
  }

  async #measure(key: string): Promise<void> {
    const { bytes } = await this.#ports.snapshotter.usage(key);
    await this.#ports.rows.used(key, bytes);
    const rows = await this.#ports.rows.all();
    let total = rows.reduce((sum, row) => sum + row.bytes, 0);
    for (const row of rows.sort((a, b) => a.last_used_at.localeCompare(b.last_used_at))) {
      if (total <= this.#options.maxBytes) return;
      if (await this.#lock.run(row.name, () => this.#remove(row))) total -= row.bytes;
    }
  }

  async #remove({ key }: CacheMountRow): Promise<boolean> {
    if (this.#open.has(key)) return false;
    // The row first: what has none is removed at the next start.
    await this.#ports.rows.delete(key);
    await this.#ports.snapshotter.remove(key);
    return true;
  }
}
