import { z } from 'zod';
import { invalid, tooLarge } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, isDigest } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { MAX_CONFIG_BYTES } from '#worker/images/config-parser.ts';
import { CACHE_CONFIG_TYPE, INLINE_CACHE, parseCacheConfig, parseInlineRecords } from './cache-config.ts';
import type { CacheSource } from './cache-source.ts';
import { CREATED_AT, DIFF_ID, RecordIndex } from './record-index.ts';

/** BuildKit itself reads no more than 1 MiB. */
const MAX_CACHE_CONFIG_BYTES = 8 * 1024 * 1024;
/** Platforms of an image that may have an inline cache each. */
const MAX_IMAGES = 64;
const MAX_LAYERS = 20_000;

const descriptor = z.looseObject({
  mediaType: z.string(),
  digest: z.custom<Digest>((value) => typeof value === 'string' && isDigest(value), 'is not a digest'),
  size: z.int().nonnegative(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const document = z.object({
  mediaType: z.string().optional(),
  config: descriptor.optional(),
  layers: z.array(descriptor).max(MAX_LAYERS).optional(),
  manifests: z.array(descriptor).max(MAX_LAYERS).optional(),
});
const imageConfig = z.object({
  rootfs: z.object({ diff_ids: z.array(z.string()) }),
  history: z
    .array(z.object({ created: z.string().optional(), empty_layer: z.boolean().optional() }))
    .optional(),
  [INLINE_CACHE]: z.string().optional(),
});

interface ReadOptions {
  readonly signal: AbortSignal;
}

interface CacheReadOptions extends ReadOptions {
  /** Hears what kind of manifest it is. */
  readonly inferred?: (mediaType: string) => Promise<void>;
}

/**
 * What a reference has of a cache: one of its own, as an index or as an image, or those in the configurations of an
 * image. Throws `not-found`, `invalid`, `too-large` and what the source throws.
 */
export async function readCache(
  source: CacheSource,
  reference: string,
  { signal, inferred }: CacheReadOptions,
): Promise<RecordIndex[]> {
  const options = { signal };
  const root = parse(document, (await source.manifest(reference, options)).payload);
  await inferred?.(root.mediaType || (root.manifests ? MEDIA_TYPE.ociIndex : MEDIA_TYPE.ociManifest));
  const parts = root.manifests ?? [root.config, ...(root.layers ?? [])].filter((part) => part !== undefined);
  const config = parts.find(({ mediaType }) => mediaType === CACHE_CONFIG_TYPE);
  if (config) {
    if (config.size > MAX_CACHE_CONFIG_BYTES)
      throw tooLarge(`the description of the cache has ${config.size} bytes`);
    const described = parseCacheConfig(await source.smallBlob(config, MAX_CACHE_CONFIG_BYTES, options));
    const layers = new Map(parts.filter((part) => part !== config).map((part) => [part.digest, part]));
    return [new RecordIndex(described, layers, source)];
  }
  if (!root.manifests) return [await inlineCache(source, root, options)].filter((one) => one !== undefined);
  const indexes: RecordIndex[] = [];
  for (const { digest } of root.manifests.slice(0, MAX_IMAGES)) {
    const image = parse(document, (await source.manifest(digest, options)).payload);
    const index = await inlineCache(source, image, options);
    if (index) indexes.push(index);
  }
  return indexes;
}

/** undefined for an image that was exported without one. */
async function inlineCache(
  source: CacheSource,
  { config, layers = [] }: z.infer<typeof document>,
  options: ReadOptions,
): Promise<RecordIndex | undefined> {
  if (!config || layers.length === 0) return undefined;
  const image = parse(imageConfig, await source.smallBlob(config, MAX_CONFIG_BYTES, options));
  const { diff_ids: diffIds } = image.rootfs;
  const cache = image[INLINE_CACHE];
  if (cache === undefined || diffIds.length !== layers.length) return undefined;
  const dates = (image.history ?? []).flatMap(({ created, empty_layer: empty }) => (empty ? [] : [created]));
  const known = new Map<Digest, Descriptor>();
  for (const [at, layer] of layers.entries()) {
    const created = dates.length === layers.length ? dates[at] : undefined;
    const annotations = { [DIFF_ID]: diffIds[at]!, ...(created !== undefined && { [CREATED_AT]: created }) };
    known.set(layer.digest, { ...layer, annotations });
  }
  const stack = layers.map(({ digest }, at) => ({ blob: digest, parent: at - 1 }));
  const records = parseInlineRecords(Buffer.from(cache, 'base64'));
  return new RecordIndex({ layers: stack, records }, known, source);
}

function parse<T>(schema: z.ZodType<T>, payload: Uint8Array): T {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch (cause) {
    throw invalid('a document of the cache is no JSON', { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(`a document of the cache: ${issue?.path.join('.')}: ${issue?.message}`);
}
