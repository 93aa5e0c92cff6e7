import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import { isDigest } from '#oci/digest.ts';
import { isIndexType, isManifestType } from '#oci/media-type.ts';
import { hostPlatform, type Platform, platformMatches } from '#oci/platform.ts';
import { blobLocation } from '../layer-blobs.ts';
import type { ArchiveSpool } from './archive-spool.ts';

/** One image of an archive: paths of its configuration and of its layers, bottom first. */
export interface ArchivedImage {
  readonly config: string;
  readonly layers: readonly string[];
  readonly names: readonly string[];
}

const dockerManifest = z.array(
  z.looseObject({
    Config: z.string(),
    RepoTags: z.array(z.string()).nullish(),
    Layers: z.array(z.string()).nullish(),
  }),
);

const descriptor = z.looseObject({
  mediaType: z.string(),
  digest: z.string().refine(isDigest, 'is not a digest'),
  annotations: z.record(z.string(), z.string()).nullish(),
  platform: z
    .looseObject({ os: z.string(), architecture: z.string(), variant: z.string().optional() })
    .nullish(),
});
const ociIndex = z.looseObject({ manifests: z.array(descriptor) });
const ociManifest = z.looseObject({ config: descriptor, layers: z.array(descriptor) });

type ArchivedDescriptor = z.infer<typeof descriptor>;

/**
 * What an archive of `docker save` holds (`manifest.json`, of any version), or else an OCI image layout
 * (`index.json`; OCI image-spec, image-layout.md). Throws `invalid`.
 */
export async function archivedImages(spool: ArchiveSpool): Promise<ArchivedImage[]> {
  if (spool.has('manifest.json')) {
    const images = check(dockerManifest, await spool.json('manifest.json'), 'manifest.json');
    return images.map((image) => ({
      config: image.Config,
      layers: image.Layers ?? [],
      names: image.RepoTags ?? [],
    }));
  }
  if (!spool.has('index.json')) throw invalid('invalid archive: it has neither manifest.json nor index.json');
  const index = check(ociIndex, await spool.json('index.json'), 'index.json');
  const images: ArchivedImage[] = [];
  for (const entry of index.manifests) {
    const image = await imageAt(spool, entry, 0);
    if (image) images.push({ ...image, names: namesOf(entry) });
  }
  return images;
}

async function imageAt(
  spool: ArchiveSpool,
  entry: ArchivedDescriptor,
  depth: number,
): Promise<Omit<ArchivedImage, 'names'> | undefined> {
  const path = blobLocation(entry.digest);
  if (isIndexType(entry.mediaType) && depth < 3) {
    const { manifests } = check(ociIndex, await spool.json(path), path);
    const wanted = hostPlatform();
    const match = manifests.find(
      (candidate) => !candidate.platform || platformMatches(wanted, candidate.platform as Platform),
    );
    return match && imageAt(spool, match, depth + 1);
  }
  if (!isManifestType(entry.mediaType)) return undefined;
  const manifest = check(ociManifest, await spool.json(path), path);
  return {
    config: blobLocation(manifest.config.digest),
    layers: manifest.layers.map((layer) => blobLocation(layer.digest)),
  };
}

/** containerd writes the whole name; the specification's annotation is often only a tag. */
function namesOf(entry: ArchivedDescriptor): string[] {
  const name = entry.annotations?.['io.containerd.image.name'];
  if (name) return [name];
  const reference = entry.annotations?.['org.opencontainers.image.ref.name'];
  return reference && /[/:]/.test(reference) ? [reference] : [];
}

function check<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`invalid archive: ${path}: ${issue?.path.join('.')}: ${issue?.message}`);
}
