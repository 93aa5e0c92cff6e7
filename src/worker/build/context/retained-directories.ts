import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeTopDirectory } from '#worker/snapshots/top-directory.ts';
import type { CacheContents, CacheUsage } from '../cache/cache-contents.ts';
import type { TreeChanges } from '../files/tree-memory.ts';
import type { SyncedDirectory } from '../session/build-session.ts';

/** A client's directory that a build has to itself: to sync into first, to read from afterwards. */
export interface RetainedDirectory extends SyncedDirectory {
  /** A file, which may not be there, for whatever whoever fills the directory knows of it. */
  readonly notes: string;
  /** Says what a sync came to; `id` is another afterwards if anything changed. Without it nothing is kept. */
  settle(synced: Settled): void;
  /** It is not kept, unless `drop(false)` follows. */
  drop(dropped?: boolean): void;
}

/** What a sync came to. */
interface Settled {
  readonly changed: boolean;
  readonly entries: number;
  readonly bytes: number;
  /** As of `TreeChanges`; undefined: there may be others. */
  readonly directories?: readonly string[] | undefined;
}

export interface RetainOptions {
  /** Holds nothing else; absolute. */
  readonly root: string;
  /** Of directories that no build uses; the least recently used go. */
  readonly maxBytes?: number;
  readonly maxDirectories?: number;
}

const stateSchema = z.object({
  key: z.string(),
  variant: z.string(),
  /** Changes with the contents. */
  generation: z.string(),
  bytes: z.number(),
  entries: z.number(),
  uses: z.number(),
  createdAt: z.number(),
  lastUsedAt: z.number(),
  /** What was written before a power failure may not be what it says it is. */
  boot: z.string(),
});
type State = z.infer<typeof stateSchema>;

interface Kept {
  readonly id: string;
  state: State;
  inUse: boolean;
}

const GIB = 1024 ** 3;
const DEFAULTS = { maxBytes: 20 * GIB, maxDirectories: 64 };

/**
 * Directories that clients had their builds read, kept for their next builds, so that only what has changed is sent
 * again. Each has one user at a time; whoever finds all of a key in use gets another one.
 *
 *     <root>/<id>/files/       as the client has them
 *     <root>/<id>/notes        what is known of them
 *     <root>/<id>/state.json   not there while it is in use: what a killed worker leaves half-done is not kept
 */
export class RetainedDirectories implements CacheContents {
  readonly #options: Required<RetainOptions>;
  readonly #kept = new Map<string, Kept>();
  #boot = '';

  constructor(options: RetainOptions) {
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Finds what an earlier process kept. Call once at start. */
  async reconcile(): Promise<void> {
    const { root } = this.#options;
    await makeTopDirectory(root, { mode: 0o700 });
    this.#boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    for (const id of await readdir(root)) {
      const state = await this.#readState(id);
      if (state) this.#kept.set(id, { id, state, inUse: false });
      else await rm(join(root, id), { recursive: true, force: true });
    }
  }

  /**
   * The directory of a key that was used last, preferably for the same variant (what of the client's directory was
   * asked for); an empty one when there is none. Dispose of it to let others have it.
   */
  async acquire({ key, variant }: { key: string; variant: string }): Promise<RetainedDirectory> {
    const free = [...this.#kept.values()].filter(({ state, inUse }) => !inUse && state.key === key);
    free.sort((a, b) => b.state.lastUsedAt - a.state.lastUsedAt);
    const found = free.find(({ state }) => state.variant === variant) ?? free[0];
    return this.#use(found ?? this.#add(key, variant), variant);
  }

  async usage(): Promise<CacheUsage[]> {
    return [...this.#kept.values()].map(({ id, state, inUse }) => ({
      id,
      type: 'source.local',
      kind: 'source',
      description: `local source for ${nameOf(state.key)}`,
      bytes: state.bytes,
      inUse,
      createdAt: new Date(state.createdAt),
      lastUsedAt: new Date(state.lastUsedAt),
      usageCount: state.uses,
    }));
  }

  async remove(id: string): Promise<number | undefined> {
    const kept = this.#kept.get(id);
    if (!kept || kept.inUse) return undefined;
    await this.#remove(id);
    return kept.state.bytes;
  }

  #add(key: string, variant: string): Kept {
    const now = Date.now();
    const numbers = { bytes: 0, entries: 0, uses: 0, createdAt: now, lastUsedAt: now };
    const state = { key, variant, generation: randomUUID(), ...numbers, boot: this.#boot };
    const kept = { id: randomUUID(), state, inUse: false };
    this.#kept.set(kept.id, kept);
    return kept;
  }

  async #use(kept: Kept, variant: string): Promise<RetainedDirectory> {
    kept.inUse = true;
    kept.state = { ...kept.state, uses: kept.state.uses + 1 };
    const directory = join(this.#options.root, kept.id);
    const root = join(directory, 'files');
    try {
      await mkdir(root, { recursive: true, mode: 0o700 });
      await rm(join(directory, 'state.json'), { force: true });
    } catch (error) {
      await this.#remove(kept.id);
      throw error;
    }
    let settled = false;
    let dropping = false;
    let changes: TreeChanges | undefined;
    let released: Promise<void> | undefined;
    return {
      root,
      notes: join(directory, 'notes'),
      get id() {
        return idOf(kept);
      },
      get changes() {
        return changes;
      },
      settle({ changed, entries, bytes, directories }) {
        settled = true;
        if (changed && directories) changes = { since: idOf(kept), directories };
        const generation = changed ? randomUUID() : kept.state.generation;
        kept.state = { ...kept.state, variant, generation, entries, bytes };
      },
      drop(dropped = true) {
        dropping = dropped;
      },
      [Symbol.asyncDispose]: () => {
        released ??= dropping ? this.#remove(kept.id) : this.#release(kept, settled);
        return released;
      },
    };
  }

  /** What was not settled is good to build on, but not what its generation says. */
  async #release(kept: Kept, settled: boolean): Promise<void> {
    const generation = settled ? kept.state.generation : randomUUID();
    kept.state = { ...kept.state, generation, lastUsedAt: Date.now() };
    const file = join(this.#options.root, kept.id, 'state.json');
    try {
      await writeFile(`${file}.new`, JSON.stringify(kept.state), { mode: 0o600 });
      await rename(`${file}.new`, file);
    } catch {
      await this.#remove(kept.id);
      return;
    }
    kept.inUse = false;
    await this.#trim();
  }

  async #trim(): Promise<void> {
    const { maxBytes, maxDirectories } = this.#options;
    const newest = [...this.#kept.values()].sort((a, b) => b.state.lastUsedAt - a.state.lastUsedAt);
    let bytes = 0;
    const excess = newest.filter(({ state, inUse }, at) => {
      bytes += state.bytes;
      return !inUse && (at >= maxDirectories || bytes > maxBytes);
    });
    await Promise.all(excess.map(({ id }) => this.#remove(id)));
  }

  async #remove(id: string): Promise<void> {
    this.#kept.delete(id);
    await rm(join(this.#options.root, id), { recursive: true, force: true });
  }

  async #readState(id: string): Promise<State | undefined> {
    try {
      const text = await readFile(join(this.#options.root, id, 'state.json'), 'utf8');
      const state = stateSchema.parse(JSON.parse(text));
      return state.boot === this.#boot ? state : undefined;
    } catch {
      return undefined;
    }
  }
}

function idOf({ id, state }: Kept): string {
  return `${id}-${state.generation}`;
}

/** A key is `[name, hint, shared key]`. */
function nameOf(key: string): string {
  return String(JSON.parse(key)[0]);
}
