import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** What a secret is for; the first letters tell people, and scanners of leaked secrets, what they found. */
const PREFIX = { robot: 'slr', personal: 'slp', refresh: 'slt' } as const;
export type SecretKind = keyof typeof PREFIX;

const SHAPE = /^sl([rpt])_([0-9a-f]{20})_([A-Za-z0-9_-]{43})$/;

/** A new secret: `slr_<id>_<256 random bits>`. The id finds the hash, which is all that is kept. */
export function newSecret(kind: SecretKind): { id: string; text: string; hash: string } {
  const id = randomBytes(10).toString('hex');
  const text = `${PREFIX[kind]}_${id}_${randomBytes(32).toString('base64url')}`;
  return { id, text, hash: hashOf(text) };
}

/** The id and kind in a secret; undefined for what cannot be one. */
export function readSecret(text: string): { id: string; kind: SecretKind } | undefined {
  const [, letter, id] = SHAPE.exec(text) ?? [];
  if (id === undefined) return undefined;
  return { id, kind: letter === 'r' ? 'robot' : letter === 'p' ? 'personal' : 'refresh' };
}

export function secretMatches(text: string, hash: string): boolean {
  const [ours, theirs] = [Buffer.from(hash, 'hex'), Buffer.from(hashOf(text), 'hex')];
  return ours.length === theirs.length && timingSafeEqual(ours, theirs);
}

/** Random bits need no slow hash: they cannot be guessed. */
function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
