import { type Digest, digestOf } from '#oci/digest.ts';

/** What a record of a vertex's output is called; `digest` is that of its cache map (solver/cachemanager.go). */
export function recordKey(digest: Digest, output: number): Digest {
  return digestOf(`${digest}@${output}`);
}

/** What stands for contents that a step reads of an input, however those came to be. */
export function contentKey(digest: string): Digest {
  return digestOf(`${digest}@-1`);
}
