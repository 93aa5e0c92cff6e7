import { type Digest, digestOf } from '#oci/digest.ts';
import type { Platform } from '#oci/platform.ts';
import { goJson } from './go-json.ts';
import { platformOf } from './op-digest.ts';

/** What BuildKit's solver calls a source that was found to be `key` (solver/llbsolver/ops/source.go). */
export function sourceDigest(key: string): Digest {
  return digestOf(`buildkit.source.v0:${key}`);
}

/** Of an image: by its manifest, and by its layers (source/containerimage/pull.go). */
export function imageDigests(
  manifest: Digest,
  platform: Platform,
  { layers, limit }: { layers: Digest | undefined; limit: number | undefined },
): Digest[] {
  const key = digestOf(goJson({ Digest: manifest, ...platformOf(platform), Limit: limit }));
  return [key, layers].filter((one) => one !== undefined).map(sourceDigest);
}
