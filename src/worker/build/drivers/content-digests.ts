import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SingleFlight } from '#async/single-flight.ts';
import { isKind, notFound } from '#errors/errors.ts';
import type { ContentSelector } from '../files/content-digest.ts';
import type { FilePool } from '../files/file-pool.ts';
import { canonicalJson } from '../llb/canonical-json.ts';
import type { Ref } from '../solve/ref.ts';
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

/**
 * Digests of what is in refs. What was computed of layers or of a directory as it is now is remembered; of a
 * directory that has changed, only changed files are read, and only what has changed is looked at where that is known.
 */
export class ContentDigests {
  readonly #ports: ContentDigestsPorts;
  readonly #directory: string;
  readonly #known = new Map<string, string>();
  readonly #flights = new SingleFlight<string>();

  /** `directory` keeps what is known of directories' files. */
  constructor(ports: ContentDigestsPorts, options: { directory: string }) {
    this.#ports = ports;
    this.#directory = options.directory;
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
    const lasting = ref.kind === 'directory' && !ref.passing;
    const memory = lasting
      ? { file: await this.#memoryOf(ref.root), id: ref.id, changes: ref.changes }
      : undefined;
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

  async #memoryOf(root: string): Promise<string> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    return join(this.#directory, hash(`tree ${root}`));
  }
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
