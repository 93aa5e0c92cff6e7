import { invalid } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import type { PasswordHasher } from '../passwords/password-hasher.ts';
import { parseAccountName } from '../policies/subject.ts';
import type { User } from './user.ts';
import { type UserChange, type UsersRepository, unknownUser } from './users-repository.ts';

export const MIN_PASSWORD_LENGTH = 8;
const MAX_PASSWORD_BYTES = 512;
/** How logins are told apart that are not by a user's name. */
const RESERVED = ['oidc', 'robot', 'token', 'system', 'anonymous', 'authenticated'];

/** People with accounts. What they may do is in the policies, under the subject `user:<name>`. */
export class Users {
  readonly #users: UsersRepository;
  readonly #hasher: PasswordHasher;

  constructor(ports: { users: UsersRepository; hasher: PasswordHasher }) {
    this.#users = ports.users;
    this.#hasher = ports.hasher;
  }

  /** Throws `invalid` for a name or password that cannot be, `conflict` for a name that is taken. */
  async create(
    user: {
      name: string;
      password?: string | undefined;
      displayName?: string | undefined;
      email?: string | undefined;
    },
    actor: Actor,
  ): Promise<User> {
    const name = parseAccountName(user.name);
    if (RESERVED.includes(name)) throw invalid(`the name '${name}' is reserved`);
    const passwordHash = user.password === undefined ? undefined : await this.#hash(user.password);
    const { displayName, email } = checkedTexts(user);
    await this.#users.insert(
      { name, passwordHash, displayName: displayName ?? undefined, email: email ?? undefined },
      actor,
    );
    return await this.get(name);
  }

  /** Throws `not-found`. */
  async get(name: string): Promise<User> {
    const user = await this.#users.find(name);
    if (!user) throw unknownUser(name);
    return user;
  }

  /** By name, after `last`. */
  async list(options: { limit: number; last?: string | undefined }): Promise<User[]> {
    return await this.#users.list(options);
  }

  /** Throws `not-found` and `invalid`. A new password and being disabled log the user out everywhere. */
  async update(
    name: string,
    change: {
      password?: string | undefined;
      displayName?: string | null | undefined;
      email?: string | null | undefined;
      disabled?: boolean | undefined;
    },
    actor: Actor,
  ): Promise<User> {
    const { password, ...rest } = change;
    const passwordHash = password === undefined ? undefined : await this.#hash(password);
    const row: UserChange = { ...rest, ...checkedTexts(rest), passwordHash };
    await this.#users.update(name, row, actor);
    return await this.get(name);
  }

  /** Throws `not-found`. Grants, secrets and logins of the user go along. */
  async remove(name: string, actor: Actor): Promise<void> {
    await this.#users.remove(name, actor);
  }

  async #hash(password: string): Promise<string> {
    if ([...password].length < MIN_PASSWORD_LENGTH || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
      throw invalid(`expected a password of ${MIN_PASSWORD_LENGTH} characters at least`);
    }
    return await this.#hasher.hash(password);
  }
}

function checkedTexts<
  T extends { displayName?: string | null | undefined; email?: string | null | undefined },
>(texts: T): Pick<T, 'displayName' | 'email'> {
  for (const text of [texts.displayName, texts.email]) {
    if (text && (text.length > 200 || /[\x00-\x1f\x7f]/.test(text)))
      throw invalid('expected a line of at most 200 characters');
  }
  return {
    ...(texts.displayName !== undefined && { displayName: texts.displayName }),
    ...(texts.email !== undefined && { email: texts.email }),
  } as Pick<T, 'displayName' | 'email'>;
}
