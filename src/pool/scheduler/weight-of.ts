/**
 * How much a worker is the one for something (rendezvous hashing): what wants the heaviest keeps it, whoever else comes or
 * goes. FNV-1a with the finalizer of MurmurHash3: a decision weighs a thousand workers, and nobody gains by colliding.
 */
export function weightOf(wants: string, worker: string): number {
  let hash = 0x811c9dc5;
  for (const text of [wants, '\0', worker]) {
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
