import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import { isDigest } from '#oci/digest.ts';
import type { StoredLayer } from './record-manifest.ts';

/** More than any image has. */
const MAX_LAYERS = 1_000;

const digest = z.string().refine(isDigest);
const shape = z
  .array(
    z.strictObject({
      diffId: digest,
      mediaType: z.string().max(200),
      digest,
      size: z.int().nonnegative(),
      createdAt: z.iso.datetime().optional(),
    }),
  )
  .max(MAX_LAYERS);

/** Layers of the shared cache, bottom first, as one worker tells another of them. */
export function writeLayers(layers: readonly StoredLayer[]): string {
  return JSON.stringify(
    layers.map(({ descriptor: { mediaType, digest, size }, diffId, createdAt }) => ({
      ...{ diffId, mediaType, digest, size },
      ...(createdAt && { createdAt: createdAt.toISOString() }),
    })),
  );
}

/** Throws `invalid`. */
export function readLayers(text: string): StoredLayer[] {
  const read = shape.safeParse(json(text));
  if (!read.success) throw invalid(`layers that cannot be read: ${z.prettifyError(read.error)}`);
  return read.data.map(({ diffId, createdAt, ...descriptor }) => ({
    descriptor,
    diffId,
    ...(createdAt !== undefined && { createdAt: new Date(createdAt) }),
  }));
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
