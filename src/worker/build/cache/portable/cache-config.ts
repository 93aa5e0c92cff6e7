import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import { type Digest, isDigest } from '#oci/digest.ts';

/** BuildKit's description of a cache (cache/remotecache/v1/types/spec.go): a graph of records, and layers. */
export interface CacheConfig {
  readonly layers: readonly CacheLayer[];
  readonly records: readonly CacheRecordEntry[];
}

export interface CacheLayer {
  readonly blob: Digest;
  /** The layer below it, by position; -1: none. */
  readonly parent: number;
}

export interface CacheRecordEntry {
  readonly digest: Digest;
  /** Of each input, the records that it may be, each of which is enough. */
  readonly inputs: readonly (readonly CacheInput[])[];
  /** Its outcomes by their topmost layers. */
  readonly layers: readonly { readonly layer: number; readonly createdAt: string }[];
  /** Its outcomes by all of their layers, where those are in no order that `layers` could say. */
  readonly chains: readonly { readonly layers: readonly number[]; readonly createdAt: string }[];
}

export interface CacheInput {
  readonly link: number;
  /** What is looked at of it; '': all. */
  readonly selector: string;
}

export const CACHE_CONFIG_TYPE = 'application/vnd.buildkit.cacheconfig.v0';
/** Where an image's configuration has its cache, as base64. */
export const INLINE_CACHE = 'moby.buildkit.cache.v0';

const digest = z.custom<Digest>((value) => typeof value === 'string' && isDigest(value), 'is not a digest');
const position = z.int().nonnegative();
const createdAt = z.string().max(64).default('0001-01-01T00:00:00Z');

const record = z.object({
  digest,
  inputs: z
    .array(z.array(z.object({ link: position, selector: z.string().max(256).default('') })))
    .nullish()
    .transform((inputs) => inputs ?? []),
  layers: z
    .array(z.object({ layer: position, createdAt }))
    .nullish()
    .transform((layers) => layers ?? []),
  chains: z
    .array(z.object({ layers: z.array(position), createdAt }))
    .nullish()
    .transform((chains) => chains ?? []),
});
const records = z
  .array(record)
  .nullish()
  .transform((all) => all ?? []);
const config = z.object({
  layers: z
    .array(z.object({ blob: digest, parent: z.int().min(-1).default(0) }))
    .nullish()
    .transform((layers) => layers ?? []),
  records,
});

/** Throws `invalid`. Where numbers lead to shows when they are followed. */
export function parseCacheConfig(bytes: Uint8Array): CacheConfig {
  return check(config, bytes);
}

/** The records of an inline cache, whose layers are the image's. Throws `invalid`. */
export function parseInlineRecords(bytes: Uint8Array): CacheConfig['records'] {
  return check(records, bytes);
}

/** As Go writes it, empty lists left out. */
export function writeCacheConfig({ layers, records }: CacheConfig): Buffer {
  return Buffer.from(JSON.stringify({ layers, records: records.map(written) }));
}

export function writeInlineRecords(records: CacheConfig['records']): Buffer {
  return Buffer.from(JSON.stringify(records.map(written)));
}

function written({ digest, inputs, layers, chains }: CacheRecordEntry): object {
  return {
    ...(layers.length > 0 && { layers }),
    ...(chains.length > 0 && { chains }),
    digest,
    ...(inputs.length > 0 && {
      inputs: inputs.map((links) =>
        links.map(({ selector, link }) => ({ ...(selector && { selector }), link })),
      ),
    }),
  };
}

function check<T>(schema: z.ZodType<T>, bytes: Uint8Array): T {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw invalid('the description of a cache is no JSON', { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(`the description of a cache: ${issue?.path.join('.')}: ${issue?.message}`);
}
