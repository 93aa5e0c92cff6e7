import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { unauthorized } from '#errors/errors.ts';

/**
 * `slj_<id>_<fingerprint>_<secret>`: the id finds the hash, which is all that is kept; the fingerprint is that of the pool's
 * authority, by which a machine knows the pool before the pool knows it.
 */
const SHAPE = /^slj_([0-9a-f]{20})_([A-Za-z0-9_-]{43})_([A-Za-z0-9_-]{43})$/;

export interface JoinToken {
  readonly id: string;
  readonly fingerprint: string;
}

export function newJoinToken(fingerprint: string): { id: string; text: string; hash: string } {
  const id = randomBytes(10).toString('hex');
  const text = `slj_${id}_${fingerprint}_${randomBytes(32).toString('base64url')}`;
  return { id, text, hash: hashOf(text) };
}

/** Throws `unauthorized` for what cannot be one. */
export function readJoinToken(text: string): JoinToken {
  const [, id, fingerprint] = SHAPE.exec(text.trim()) ?? [];
  if (id === undefined || fingerprint === undefined) {
    throw unauthorized("this is no join token: 'slipway pool token-create' makes one");
  }
  return { id, fingerprint };
}

export function joinTokenMatches(text: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hash, 'hex'), Buffer.from(hashOf(text), 'hex'));
}

function hashOf(text: string): string {
  return createHash('sha256').update(text.trim()).digest('hex');
}
