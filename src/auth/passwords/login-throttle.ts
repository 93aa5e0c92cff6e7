import { isIPv4, isIPv6 } from 'node:net';
import { KeyedLock } from '#async/keyed-lock.ts';
import { isKind, tooMany } from '#errors/errors.ts';
import type { LoginThrottleRepository } from './login-throttle-repository.ts';

/** Failures that cost nothing: of an account from an address, and of an address with whatever accounts. */
const FREE = { account: 5, secret: 30, address: 30 } as const;
/** The first wait, in milliseconds; each failure after it doubles it. */
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 5 * 60_000;
/** Failures are forgotten this long after the last one. */
const FORGOTTEN_AFTER = 60 * 60_000;

/** Who tries to log in as whom. */
export interface LoginSource {
  readonly account: string;
  /** The client's IP address. */
  readonly address: string;
  /** False for a secret that Slipway made: nobody guesses one, but a machine may try an old one for ever. */
  readonly guessable: boolean;
}

/**
 * Slows down guessing: who fails again and again waits longer and longer. It counts an account together with the
 * address that tries it, so that nobody locks out an owner who comes from elsewhere; and an address alone, so that
 * trying every account once is slow too. The counts are in the database, the same for all processes.
 */
export class LoginThrottle {
  readonly #counts: LoginThrottleRepository;
  readonly #turns = new KeyedLock();

  constructor(ports: { counts: LoginThrottleRepository }) {
    this.#counts = ports.counts;
  }

  /**
   * Proves who someone is; an `unauthorized` counts as a failure. Throws `too-many` with how long to wait. Guesses from one
   * address have their turns in this process: of many at once each finds counted what those before it did.
   */
  async guard<T>(source: LoginSource, prove: () => Promise<T>): Promise<T> {
    const attempt = () => this.#attempt(source, prove);
    return source.guessable ? await this.#turns.run(networkOf(source.address), attempt) : await attempt();
  }

  async #attempt<T>(source: LoginSource, prove: () => Promise<T>): Promise<T> {
    await this.check(source);
    try {
      const proved = await prove();
      await this.succeeded(source);
      return proved;
    } catch (error) {
      if (isKind(error, 'unauthorized')) await this.failed(source);
      throw error;
    }
  }

  /** Throws `too-many` with how long to wait. */
  async check(source: LoginSource): Promise<void> {
    const counts = await this.#counts.find(keysOf(source));
    const opens = [...counts].map(([key, count]) => opensAt(count, freeOf(key)));
    const wait = Math.max(0, ...opens) - Date.now();
    if (wait <= 0) return;
    throw tooMany('too many failed logins', { detail: { retryAfter: Math.ceil(wait / 1_000) } });
  }

  async failed(source: LoginSource): Promise<void> {
    const now = Date.now();
    await this.#counts.add(keysOf(source), now, now - FORGOTTEN_AFTER);
  }

  /** Only the account's count begins anew: else an attacker with one account could go on with the others'. */
  async succeeded(source: LoginSource): Promise<void> {
    const pair = keysOf(source)[0]!;
    if ((await this.#counts.find([pair])).size > 0) await this.#counts.clear(pair);
  }
}

function opensAt(count: { failures: number; lastAt: number }, free: number): number {
  if (count.failures < free) return 0;
  const wait = FIRST_WAIT * 2 ** Math.min(count.failures - free, 20);
  return count.lastAt + Math.min(wait, LONGEST_WAIT);
}

/** The account at the address, and the address alone if that counts. */
function keysOf({ account, address, guessable }: LoginSource): string[] {
  const network = networkOf(address);
  // A name as long as a client likes, of what it likes, would fill the table or not fit.
  const name = account.slice(0, 100).replace(/[^\x21-\x7e]/g, '?');
  return guessable ? [`account ${name} ${network}`, network] : [`secret ${name} ${network}`];
}

function freeOf(key: string): number {
  return key.startsWith('account ') ? FREE.account : key.startsWith('secret ') ? FREE.secret : FREE.address;
}

/** An IPv6 host has 2^64 addresses of its own: they count as one. */
function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  if (isIPv4(mapped) || !isIPv6(mapped)) return mapped;
  const [head = '', tail] = mapped.split('%')[0]!.split('::');
  const [before, after] = [groups(head), groups(tail ?? '')];
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}

function groups(text: string): string[] {
  return text === '' ? [] : text.split(':');
}
