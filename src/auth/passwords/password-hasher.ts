import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { Semaphore } from '#async/semaphore.ts';
import { tooMany } from '#errors/errors.ts';

/** What a hash costs: memory in KiB, passes over it, lanes. OWASP's choice for argon2id. */
interface Cost {
  readonly memory: number;
  readonly passes: number;
  readonly lanes: number;
}

const COST: Cost = { memory: 19_456, passes: 2, lanes: 1 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** Hashes made at once: half of the cores of a small machine, and few of libuv's threads. */
const CONCURRENT = 2;
/** Logins that wait for a turn; more are told to come again. */
const WAITING = 64;
const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

const derive = promisify(argon2);

/** Hashes passwords with argon2id, off the main thread, a few at a time. Hashes are in PHC string format. */
export class PasswordHasher {
  readonly #turn = new Semaphore(CONCURRENT);
  readonly #cost: Cost;
  #pending = 0;

  constructor(cost: Cost = COST) {
    this.#cost = cost;
  }

  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    const hash = await this.#derive(password, salt, this.#cost);
    const { memory, passes, lanes } = this.#cost;
    return `$argon2id$v=19$m=${memory},t=${passes},p=${lanes}$${encode(salt)}$${encode(hash)}`;
  }

  /**
   * Whether a password is the one that was hashed, and whether it should be hashed anew. Without a hash it is not,
   * which takes as long to say. Throws `too-many` when too many wait for an answer.
   */
  async verify(
    password: string,
    stored: string | undefined,
  ): Promise<{ matches: boolean; outdated: boolean }> {
    const parsed = parse(stored ?? '');
    const cost = parsed?.cost ?? this.#cost;
    const hash = await this.#derive(password, parsed?.salt ?? randomBytes(SALT_BYTES), cost);
    const matches = parsed !== undefined && timingSafeEqual(hash, parsed.hash);
    const { memory, passes, lanes } = this.#cost;
    const outdated = cost.memory !== memory || cost.passes !== passes || cost.lanes !== lanes;
    return { matches, outdated };
  }

  async #derive(password: string, salt: Buffer, cost: Cost): Promise<Buffer> {
    if (this.#pending >= CONCURRENT + WAITING) {
      throw tooMany('too many logins at once', { detail: { retryAfter: 2 } });
    }
    this.#pending++;
    try {
      return await this.#turn.run(() =>
        derive('argon2id', {
          message: password.normalize('NFC'),
          nonce: salt,
          memory: cost.memory,
          passes: cost.passes,
          parallelism: cost.lanes,
          tagLength: HASH_BYTES,
        }),
      );
    } finally {
      this.#pending--;
    }
  }
}

function parse(stored: string): { cost: Cost; salt: Buffer; hash: Buffer } | undefined {
  const [, memory, passes, lanes, salt = '', hash = ''] = PHC.exec(stored) ?? [];
  if (memory === undefined) return undefined;
  const cost = { memory: Number(memory), passes: Number(passes), lanes: Number(lanes) };
  const bytes = Buffer.from(hash, 'base64');
  return bytes.length === HASH_BYTES ? { cost, salt: Buffer.from(salt, 'base64'), hash: bytes } : undefined;
}

function encode(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
