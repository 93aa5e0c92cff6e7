import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SingleFlight } from '#async/single-flight.ts';
import { isKind, notFound, systemCode } from '#errors/errors.ts';
import type { ContentSelector } from '../files/content-digest.ts';
import type { FilePool } from '../files/file-pool.ts';
import { type KeptTree, keptRoot } from '../files/tree-memory.ts';
import { canonicalJson } from '../llb/canonical-json.ts';
import type { DirectoryRef, Ref } from '../solve/ref.ts';
import type { ContentManifests } from './content-manifests.ts';
import type { RequireOptions } from './layers.ts';
import type { RefViews } from './ref-views.ts';

export interface ContentDigestsPorts {
  readonly views: RefViews;
  readonly files: FilePool;
  readonly manifests: ContentManifests;
}

/** Of whatever is selected of an empty file system. */
const NOTHING = `sha256:${hash('')}`;
/** Digests that are kept in memory: trees do not change. */
const MAX_KNOWN = 20_000;
/** Looking for what is known of directories that are gone is for once in a while. */
const SWEEP_EVERY = 25;

/**
 * Digests of what is in refs. What was computed of layers or of a directory as it is now is remembered; of a
 * directory that has changed, only changed files are read, and only what has changed is looked at where that is known.
 */
export class ContentDigests {
  readonly #ports: ContentDigestsPorts;
  readonly #directory: string;
  readonly #known = new Map<string, string>();
  readonly #flights = new SingleFlight<string>();
  #uses = 0;

  /** `directory` keeps what is known of directories' files. */
  constructor(ports: ContentDigestsPorts, options: { directory: string }) {
    this.#ports = ports;
    this.#directory = options.directory;
  }

  /** Removes what is known of directories that are gone, and what a killed worker left. Call once at start. */
  async reconcile(): Promise<void> {
    await this.#sweep({ unfinished: true });
  }

  /** Throws `not-found` in BuildKit's words when a path is not there. Of an empty file system whoever reads it says that. */
  async of(ref: Ref, selectors: readonly ContentSelector[], options: RequireOptions): Promise<string> {
    if (ref.kind === 'layers' && ref.layers.length === 0) return NOTHING;
    const identity = ref.kind === 'directory' ? ref.id : ref.layers.map(({ diffId }) => diffId);
    const key = canonicalJson([ref.kind, identity, selectors]);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const digest = await this.#flights.run(key, () => this.#compute(ref, selectors, options));
    this.#known.set(key, digest);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
    return digest;
  }

  async #compute(ref: Ref, selectors: readonly ContentSelector[], options: RequireOptions): Promise<string> {
    await using view = await this.#ports.views.open(ref, options);
    const memory = ref.kind === 'directory' && !ref.passing ? await this.#memoryOf(ref) : undefined;
    const rootKnown = ref.kind !== 'directory' || !ref.bare;
    const manifests = await this.#ports.manifests.directory();
    const request = { root: view.root, rootKnown, selectors, memory, manifests };
    try {
      return await this.#ports.files.run('contentDigest', request, options);
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
      throw notFound(`failed to calculate checksum of ref ${nameOf(ref)}: ${error.message}`, {
        cause: error,
      });
    }
  }

  async #memoryOf({ root, id, changes }: DirectoryRef): Promise<KeptTree> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    if (++this.#uses % SWEEP_EVERY === 0) await this.#sweep({ unfinished: false });
    return { file: join(this.#directory, hash(`tree ${root}`)), root, id, changes };
  }

  /** `unfinished`: nobody is writing any now, so files that were being written are left over. */
  async #sweep({ unfinished }: { unfinished: boolean }): Promise<void> {
    for (const name of await readdir(this.#directory).catch(() => [])) {
      const file = join(this.#directory, name);
      const useless = name.includes('.') ? unfinished : !(await isOfUse(file));
      if (useless) await rm(file, { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

async function isOfUse(file: string): Promise<boolean> {
  const root = await keptRoot(file);
  if (!root?.startsWith('/')) return false;
  return stat(root).then(
    () => true,
    (error) => !['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(systemCode(error) ?? ''),
  );
}

/** As short as BuildKit's IDs: people are not to read it, but tools match the shape `<id>::<id>`. */
function nameOf(ref: Ref): string {
  const text = ref.kind === 'directory' ? ref.id : ref.layers.map(({ diffId }) => diffId).join(' ');
  const digest = hash(text);
  return `${digest.slice(0, 25)}::${digest.slice(25, 50)}`;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
