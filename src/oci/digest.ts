import { createHash, type Hash } from 'node:crypto';
import { invalid } from '#errors/errors.ts';

/** `algorithm:hex`, checked (OCI image-spec, descriptor.md, "Digests"). */
export type Digest = string & { readonly __brand: 'Digest' };

/** The registered algorithms and the length of their lower-case hex. */
const HEX_LENGTH: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 };

export type DigestAlgorithm = 'sha256' | 'sha512';

/** Throws `invalid` with code `DIGEST_INVALID` for anything but a well-formed sha256 or sha512 digest. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text))
    throw invalid(`invalid digest ${JSON.stringify(text.slice(0, 200))}`, { code: 'DIGEST_INVALID' });
  return text;
}

export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(':');
  const length = HEX_LENGTH[text.slice(0, Math.max(colon, 0))];
  return (
    length !== undefined && text.length === colon + 1 + length && /^[0-9a-f]+$/.test(text.slice(colon + 1))
  );
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm;
}

/** The part after the colon. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return finish(createHash(algorithm).update(bytes), algorithm);
}

/** A running digest: feed it with `update`, read it with `digest` (once). */
export class Digester {
  readonly algorithm: DigestAlgorithm;
  readonly #hash: Hash;

  constructor(algorithm: DigestAlgorithm = 'sha256') {
    this.algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  digest(): Digest {
    return finish(this.#hash, this.algorithm);
  }
}

function finish(hash: Hash, algorithm: DigestAlgorithm): Digest {
  return `${algorithm}:${hash.digest('hex')}` as Digest;
}
