import { chmod, chown, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import type { Kysely } from 'kysely';
import type { ImageTables } from '#database/worker/images-schema.ts';
import { notFound } from '#errors/errors.ts';
import type { Mount } from './mount.ts';
import { overlayMount } from './mount-options.ts';
import { SnapshotRepository, type SnapshotRow } from './snapshot-repository.ts';
import type { SnapshotInfo, Snapshotter } from './snapshotter.ts';
import { makeTopDirectory } from './top-directory.ts';
import type { TreePool } from './tree/tree-pool.ts';

export interface OverlaySnapshotterOptions {
  /** Absolute; on a file system that overlayfs takes as upper (ext4, xfs, btrfs; not overlayfs itself). */
  readonly root: string;
}

/**
 * Snapshots as directories for overlayfs:
 *
 *     <root>/<id>/fs      the snapshot's own changes: overlay's upper directory, or one of the lower ones
 *     <root>/<id>/work    overlay's work directory, while it is active
 *     <root>/trash/<id>   on its way out
 *
 * Several snapshots may have one directory: the same layer in several stacks. It goes with the last of them.
 *
 * Ids are small numbers, so that many of them fit into a mount's options. A directory is made before its row and
 * leaves after it: what has a row is whole, and what has none is removed at the next start.
 */
export class OverlaySnapshotter implements Snapshotter {
  readonly #root: string;
  readonly #rows: SnapshotRepository;
  readonly #trees: TreePool;
  readonly #removals = new Set<Promise<void>>();
  #nextId = 1;

  constructor(ports: { database: Kysely<ImageTables>; trees: TreePool }, options: OverlaySnapshotterOptions) {
    this.#root = options.root;
    this.#rows = new SnapshotRepository(ports.database);
    this.#trees = ports.trees;
  }

  /** Call once, before anything else: makes the directory and the table agree. */
  async reconcile(): Promise<void> {
    await makeTopDirectory(this.#root, { mode: 0o711 });
    await mkdir(`${this.#root}/trash`, { recursive: true, mode: 0o711 });
    const rows = await this.#rows.directories();
    const known = new Set(rows.values());
    for (const id of rows.keys()) this.#nextId = Math.max(this.#nextId, id + 1);
    const found = new Set<number>();
    for (const name of await readdir(this.#root)) {
      if (!/^\d+$/.test(name)) continue;
      const id = Number(name);
      if (known.has(id)) found.add(id);
      else await rename(this.#path(id), `${this.#root}/trash/${id}`);
      this.#nextId = Math.max(this.#nextId, id + 1);
    }
    const lost = [...rows].filter(([, directory]) => !found.has(directory)).map(([id]) => id);
    await this.#rows.deleteWithDescendants(lost);
    for (const name of await readdir(`${this.#root}/trash`)) {
      this.#nextId = Math.max(this.#nextId, Number(name) + 1 || 0);
      this.#discard(`${this.#root}/trash/${name}`);
    }
  }

  async prepare(key: string, parent?: string): Promise<Mount> {
    const below = parent === undefined ? undefined : await this.#committed(parent);
    const id = this.#nextId++;
    const path = this.#path(id);
    await mkdir(`${path}/fs`, { recursive: true });
    await Promise.all([mkdir(`${path}/work`, { mode: 0o700 }), this.#likeRoot(`${path}/fs`, below)]);
    try {
      await this.#rows.insert({ id, key, parentId: below?.id ?? null, directory: id });
    } catch (error) {
      await rm(path, { recursive: true, force: true });
      throw error;
    }
    return this.#mountOf({ id, kind: 'active' });
  }

  async mount(key: string): Promise<Mount> {
    const row = await this.#rows.get(key);
    // What a volatile mount leaves behind, and what overlayfs then refuses to mount again.
    if (row.kind === 'active') {
      await rm(`${this.#path(row.id)}/work/work/incompat`, { recursive: true, force: true });
    }
    return this.#mountOf(row);
  }

  async commit(key: string, name: string, options: { parent?: string } = {}): Promise<void> {
    const row = await this.#rows.get(key);
    if (row.kind !== 'active') throw notFound(`no such active snapshot: ${key}`);
    const parentId = options.parent === undefined ? row.parentId : (await this.#committed(options.parent)).id;
    await this.#rows.commit(row.id, name, parentId);
    // Overlay's own, which nobody waits for: it goes with the snapshot at the latest.
    this.#discard(`${this.#path(row.id)}/work`);
  }

  async graft(source: string, name: string, parent?: string): Promise<void> {
    const { directory } = await this.#committed(source);
    const below = parent === undefined ? undefined : await this.#committed(parent);
    const id = this.#nextId++;
    await this.#rows.insert({ id, key: name, kind: 'committed', parentId: below?.id ?? null, directory });
  }

  async remove(key: string): Promise<void> {
    const row = await this.#rows.find(key);
    if (!row || !(await this.#rows.delete(row))) return;
    const trash = `${this.#root}/trash/${row.directory}`;
    await rename(this.#path(row.directory), trash);
    this.#discard(trash);
  }

  async stat(key: string): Promise<SnapshotInfo | undefined> {
    return this.#rows.info(key);
  }

  async directory(key: string): Promise<string> {
    return `${this.#path((await this.#rows.get(key)).directory)}/fs`;
  }

  async lowerDirectories(key: string): Promise<string[]> {
    const [, ...lowers] = await this.#rows.chain((await this.#rows.get(key)).id);
    return lowers.map((id) => `${this.#path(id)}/fs`);
  }

  async usage(key: string): Promise<{ bytes: number; inodes: number }> {
    const row = await this.#rows.get(key);
    const known = row.kind === 'committed' ? await this.#rows.usage(row.id) : undefined;
    if (known) return known;
    const usage = await this.#trees.run({ op: 'usage', root: `${this.#path(row.directory)}/fs` });
    if (row.kind === 'committed') await this.#rows.recordUsage(row.id, usage);
    return usage;
  }

  walk(): AsyncIterable<SnapshotInfo> {
    return this.#rows.walk();
  }

  /** Resolves when everything that was removed so far is gone from the disk. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  async #mountOf(row: Pick<SnapshotRow, 'id' | 'kind'>): Promise<Mount> {
    const [own, ...lowers] = await this.#rows.chain(row.id);
    if (own === undefined) throw notFound(`no such snapshot: ${row.id}`);
    const directory = `${this.#path(own)}/fs`;
    // A layer that is there twice shows as it does on top; overlayfs takes no directory twice.
    const below = [...new Set(lowers)].filter((id) => id !== own).map((id) => `${this.#path(id)}/fs`);
    // Overlayfs wants two directories at least; with one there is nothing to overlay.
    if (below.length === 0) {
      return { type: 'bind', source: directory, options: row.kind === 'active' ? ['bind'] : ['bind', 'ro'] };
    }
    if (row.kind === 'committed') return overlayMount([directory, ...below]);
    return overlayMount(below, { directory, work: `${this.#path(own)}/work` });
  }

  async #committed(key: string): Promise<SnapshotRow> {
    const row = await this.#rows.get(key);
    if (row.kind !== 'committed') throw notFound(`snapshot ${key} is not committed`);
    return row;
  }

  /** Overlayfs takes the root directory's owner and mode from the topmost layer, so a new one has its parent's. */
  async #likeRoot(directory: string, parent: SnapshotRow | undefined): Promise<void> {
    if (!parent) return chmod(directory, 0o755);
    const { mode, uid, gid } = await stat(`${this.#path(parent.directory)}/fs`);
    await chown(directory, uid, gid);
    await chmod(directory, mode & 0o7777);
  }

  #discard(path: string): void {
    const removal = this.#trees.run({ op: 'remove', path }).then(
      () => undefined,
      // What is in the trash stays there: the next start tries again.
      () => undefined,
    );
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }

  #path(id: number): string {
    return `${this.#root}/${id}`;
  }
}
