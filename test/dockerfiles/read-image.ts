import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { ImageConfig } from '#oci/image-config.ts';
import type { TarEntry } from '#tar/entry.ts';
import { readTar } from '#tar/reader.ts';

/** An image that was built, as far as two builders have to agree on it. */
export interface BuiltImage {
  readonly config: ImageConfig;
  /** What a container of it would see: a line a path, times left out. */
  readonly files: readonly string[];
  readonly layers: number;
}

interface Descriptor {
  readonly digest: string;
  readonly mediaType: string;
}

export interface ReadOptions {
  /** Short texts as they are, not as digests. */
  readonly shown?: boolean;
  /** Files' times too, in seconds. */
  readonly times?: boolean;
}

/** Reads an archive that `--output type=oci` wrote. */
export async function readImage(archive: string, options: ReadOptions = {}): Promise<BuiltImage> {
  const blobs = await readBlobs(archive);
  const json = (digest: string) => JSON.parse(blobs.get(digest)!.toString());
  const index = JSON.parse(blobs.get('index.json')!.toString());
  const [top] = index.manifests as Descriptor[];
  let manifest = json(top!.digest);
  // With a provenance there is an index around it.
  if (manifest.manifests) manifest = json(manifest.manifests[0].digest);
  const layers: readonly Descriptor[] = manifest.layers ?? [];
  const tree = new Map<string, string>();
  for (const { digest, mediaType } of layers) {
    await applyLayer(tree, blobs.get(digest)!, { ...options, zipped: mediaType.endsWith('gzip') });
  }
  const files = [...tree].map(([path, line]) => `/${path} ${line}`).sort();
  return { config: json(manifest.config.digest), files, layers: layers.length };
}

/** By digest; `index.json` by its name. */
async function readBlobs(archive: string): Promise<Map<string, Buffer>> {
  const blobs = new Map<string, Buffer>();
  for await (const { entry, body } of readTar(createReadStream(archive))) {
    const bytes = Buffer.concat(await Array.fromAsync(body));
    const digest = /^blobs\/sha256\/([0-9a-f]+)$/.exec(entry.path)?.[1];
    blobs.set(digest === undefined ? entry.path : `sha256:${digest}`, bytes);
  }
  return blobs;
}

async function applyLayer(
  tree: Map<string, string>,
  blob: Buffer,
  { zipped, ...options }: ReadOptions & { zipped: boolean },
): Promise<void> {
  const gunzip = createGunzip();
  gunzip.end(blob);
  const own = new Set<string>();
  for await (const { entry, body } of readTar(zipped ? gunzip : Readable.from([blob]))) {
    const bytes = Buffer.concat(await Array.fromAsync(body));
    const path = entry.path.replace(/^(?:\.?\/)+/, '').replace(/\/$/, '');
    const [, parent = '', name = ''] = /^(?:(.*)\/)?([^/]*)$/.exec(path)!;
    const below = parent === '' ? '' : `${parent}/`;
    if (name === '.wh..wh..opq') {
      removeBelow(tree, parent, own);
    } else if (name.startsWith('.wh.')) {
      const gone = below + name.slice('.wh.'.length);
      tree.delete(gone);
      removeBelow(tree, gone, own);
    } else {
      if (entry.type !== 'directory') removeBelow(tree, path, own);
      tree.set(path, lineOf(entry, bytes, tree, options));
      own.add(path);
    }
  }
}

/** What lower layers have there; this layer's own files stay. */
function removeBelow(tree: Map<string, string>, directory: string, own: ReadonlySet<string>): void {
  for (const path of [...tree.keys()]) {
    if (path.startsWith(directory === '' ? '' : `${directory}/`) && !own.has(path)) tree.delete(path);
  }
}

function lineOf(
  entry: TarEntry,
  bytes: Buffer,
  tree: ReadonlyMap<string, string>,
  { shown, times }: ReadOptions,
): string {
  const { type, mode, uid, gid, linkPath, xattrs } = entry;
  // Which of two names is the file and which the link is for the builder to say.
  const target = type === 'hardlink' ? tree.get(linkPath!.replace(/^(?:\.?\/)+/, '')) : undefined;
  if (target !== undefined) return target;
  const attributes = [...(xattrs ?? [])].map(
    ([name, value]) => `${name}=${Buffer.from(value).toString('hex')}`,
  );
  const content = type === 'file' ? contentOf(bytes, shown) : (linkPath ?? '');
  const time = times ? [Math.floor(entry.mtime)] : [];
  return [type, mode.toString(8), `${uid}:${gid}`, bytes.length, ...time, content, ...attributes.sort()].join(
    ' ',
  );
}

const SHOWN_BYTES = 500;

function contentOf(bytes: Buffer, shown = false): string {
  const text = bytes.toString();
  if (shown && bytes.length <= SHOWN_BYTES && Buffer.from(text).equals(bytes)) return JSON.stringify(text);
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}
