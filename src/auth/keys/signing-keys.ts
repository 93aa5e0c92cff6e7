import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from 'jose';
import type { Actor } from '../actor.ts';
import { KeptCopy } from '../kept-copy.ts';
import { LONGEST_LIFE } from '../tokens/revocations-repository.ts';
import type { SigningKeyRow, SigningKeysRepository } from './signing-keys-repository.ts';

/** The one algorithm there is: a token that names another is refused before anything else of it is read. */
export const ALGORITHM = 'ES256';
/** How long others may keep the key set, in seconds. */
export const KEY_SET_LIFE = 60;
/** How long before it signs a new key is in the key set: by then every process, and whoever kept the set, has it. */
const ANNOUNCED_FOR = (KEY_SET_LIFE + 10) * 1_000;
/** How long after it signed last a key is of use, in milliseconds. */
const USED_FOR = LONGEST_LIFE + 60 * 60_000;
const SYSTEM: Actor = { principal: 'system' };

export interface SigningKey {
  readonly kid: string;
  readonly key: CryptoKey;
}

/** What there is to say of a key. Times are milliseconds since 1970. */
export interface SigningKeyInfo {
  readonly kid: string;
  readonly createdAt: number;
  readonly signsFrom: number;
  /** Whether new tokens are signed with it. */
  readonly signs: boolean;
}

interface KeySet {
  readonly rows: readonly SigningKeyRow[];
  readonly verifying: ReadonlyMap<string, { readonly key: CryptoKey; readonly until: number }>;
  readonly signing: ReadonlyMap<string, CryptoKey>;
}

/**
 * The keys that access tokens are signed with. All processes share them through the database; the first token makes
 * the first key. A key that no longer signs is kept for as long as a token that it signed may live.
 */
export class SigningKeys {
  readonly #keys: SigningKeysRepository;
  readonly #rotateEvery: number;
  readonly #copy: KeptCopy<KeySet>;
  #rotating: Promise<unknown> | undefined;

  /** `rotateEvery`: how old a key gets, in milliseconds. */
  constructor(ports: { keys: SigningKeysRepository }, options: { rotateEvery: number }) {
    this.#keys = ports.keys;
    this.#rotateEvery = options.rotateEvery;
    this.#copy = new KeptCopy({
      version: () => this.#keys.version(),
      load: async () => await importKeys(await this.#keys.list()),
    });
  }

  /** The key to sign with. Makes one when there is none, and the next one when it is old. */
  async signing(): Promise<SigningKey> {
    let keys = await this.#copy.current();
    let row = signsNow(keys.rows);
    if (!row) {
      await this.#rotateOnce();
      keys = await this.#copy.latest();
      // A first key that another process has just made, to sign from a moment that is still to come.
      row = signsNow(keys.rows) ?? keys.rows.at(-1)!;
    }
    const newest = keys.rows.at(-1)!;
    // Tokens go on being signed with the old one meanwhile.
    if (Date.now() - newest.createdAt > this.#rotateEvery) void this.#rotateOnce().catch(() => undefined);
    return { kid: row.kid, key: keys.signing.get(row.kid)! };
  }

  /** Makes the next caller look: the database said that the keys changed. */
  invalidate(): void {
    this.#copy.invalidate();
  }

  /** The key of this id, undefined when there is none (any more). */
  async verifying(kid: string): Promise<CryptoKey | undefined> {
    const found = (await this.#copy.current()).verifying.get(kid);
    return found && found.until > Date.now() ? found.key : undefined;
  }

  /** The public keys, as a JSON Web Key Set (RFC 7517). */
  async publicKeys(): Promise<{ keys: JWK[] }> {
    const { rows } = await this.#copy.current();
    const outdated = outlived(rows);
    const current = rows.filter((row) => !outdated.includes(row));
    return { keys: current.map((row) => ({ ...row.publicKey, kid: row.kid, use: 'sig', alg: ALGORITHM })) };
  }

  /** The oldest first. */
  async list(): Promise<SigningKeyInfo[]> {
    const rows = await this.#keys.list();
    const now = signsNow(rows);
    return rows.map(({ kid, createdAt, signsFrom }) => ({
      kid,
      createdAt,
      signsFrom,
      signs: kid === now?.kid,
    }));
  }

  /**
   * Makes a new key. Those before it go on verifying what they signed; with `revokeOthers` they are gone, and every
   * access token with them. Returns the new key's id.
   */
  async rotate(options: { revokeOthers?: boolean }, actor: Actor): Promise<string> {
    while (true) {
      const rows = await this.#keys.list();
      const alone = rows.length === 0 || options.revokeOthers === true;
      const key = await newKey(alone ? 0 : ANNOUNCED_FOR);
      const remove = (options.revokeOthers ? rows : outlived(rows)).map(({ kid }) => kid);
      const added = await this.#keys.add(key, { seen: rows.map(({ kid }) => kid), remove }, actor);
      this.#copy.invalidate();
      if (added) return key.kid;
    }
  }

  async #rotateOnce(): Promise<void> {
    this.#rotating ??= this.#makeNext().finally(() => {
      this.#rotating = undefined;
    });
    await this.#rotating;
  }

  async #makeNext(): Promise<void> {
    const rows = await this.#keys.list();
    const newest = rows.at(-1);
    if (newest && Date.now() - newest.createdAt <= this.#rotateEvery) return;
    const key = await newKey(newest ? ANNOUNCED_FOR : 0);
    const remove = outlived(rows).map(({ kid }) => kid);
    await this.#keys.add(key, { seen: rows.map(({ kid }) => kid), remove }, SYSTEM);
    this.#copy.invalidate();
  }
}

function signsNow(rows: readonly SigningKeyRow[]): SigningKeyRow | undefined {
  return rows.findLast(({ signsFrom }) => signsFrom <= Date.now());
}

/** Those that stopped signing so long ago that nothing they signed lives. */
function outlived(rows: readonly SigningKeyRow[]): SigningKeyRow[] {
  return rows.filter((_, index) => usedUntil(rows, index) < Date.now());
}

/** Until when something that a key signed may live. */
function usedUntil(rows: readonly SigningKeyRow[], index: number): number {
  const next = rows[index + 1];
  return next === undefined ? Number.POSITIVE_INFINITY : next.signsFrom + USED_FOR;
}

async function newKey(announcedFor: number): Promise<SigningKeyRow> {
  const pair = await generateKeyPair(ALGORITHM, { extractable: true });
  const [publicKey, privateKey] = [await exportJWK(pair.publicKey), await exportJWK(pair.privateKey)];
  const createdAt = Date.now();
  const kid = await calculateJwkThumbprint(publicKey);
  return { kid, publicKey, privateKey, createdAt, signsFrom: createdAt + announcedFor };
}

async function importKeys(rows: readonly SigningKeyRow[]): Promise<KeySet> {
  const verifying = rows.map(async (row, index) => {
    const key = (await importJWK(row.publicKey, ALGORITHM)) as CryptoKey;
    return [row.kid, { key, until: usedUntil(rows, index) }] as const;
  });
  const signing = rows.map(async (row) => {
    return [row.kid, (await importJWK(row.privateKey, ALGORITHM)) as CryptoKey] as const;
  });
  return {
    rows,
    verifying: new Map(await Promise.all(verifying)),
    signing: new Map(await Promise.all(signing)),
  };
}
