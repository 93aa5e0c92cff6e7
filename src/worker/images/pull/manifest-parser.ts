import { z } from 'zod';
import { invalid, unsupported } from '#errors/errors.ts';
import { isDigest } from '#oci/digest.ts';
import type { Index, Manifest } from '#oci/manifest.ts';
import { isIndexType, isManifestType } from '#oci/media-type.ts';

const descriptor = z.looseObject({
  mediaType: z.string(),
  digest: z.string().refine(isDigest, 'is not a digest'),
  size: z.int().nonnegative(),
});
const manifest = z.looseObject({
  schemaVersion: z.literal(2),
  config: descriptor,
  layers: z.array(descriptor).max(1000),
});
const index = z.looseObject({
  schemaVersion: z.literal(2),
  manifests: z
    .array(
      z.looseObject({
        ...descriptor.shape,
        platform: z
          .looseObject({ os: z.string(), architecture: z.string(), variant: z.string().optional() })
          .optional(),
      }),
    )
    .max(10_000),
});

export type ParsedManifest = { kind: 'manifest'; manifest: Manifest } | { kind: 'index'; index: Index };

/** Throws `invalid`, and `unsupported` for what is neither a manifest nor an index that this worker knows. */
export function parseManifest(mediaType: string, payload: Uint8Array): ParsedManifest {
  const value = JSON.parse(Buffer.from(payload).toString('utf8')) as unknown;
  if (isIndexType(mediaType)) return { kind: 'index', index: check(index, value) as unknown as Index };
  if (isManifestType(mediaType))
    return { kind: 'manifest', manifest: check(manifest, value) as unknown as Manifest };
  throw unsupported(
    `unsupported manifest media type ${JSON.stringify(mediaType)}: image manifest version 2, schema 1 and older are not supported`,
  );
}

function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`invalid manifest: ${issue?.path.join('.')}: ${issue?.message}`);
}
