import { createHmac, randomBytes } from 'node:crypto';
import { isKind, unauthorized } from '#errors/errors.ts';
import type { Actor } from './actor.ts';
import { type Login, loginOf } from './login.ts';
import type { LoginSource, LoginThrottle } from './passwords/login-throttle.ts';
import type { PasswordHasher } from './passwords/password-hasher.ts';
import { isAccountName } from './policies/subject.ts';
import type { RobotsRepository } from './robots/robots-repository.ts';
import { readSecret, secretMatches } from './secrets/secret-text.ts';
import type { SecretsRepository } from './secrets/secrets-repository.ts';
import type { FederatedLogins } from './trust/federated-logins.ts';
import type { UsersRepository } from './users/users-repository.ts';

/** Longer passwords are nobody's. */
const MAX_PASSWORD_LENGTH = 2_000;
/** Passwords that were found right are remembered, as far as that can be done without remembering them. */
const REMEMBERED = 1_000;
const ROBOT = /^robot\+(.*)$/s;
/** CI jobs hand in their OpenID token as the password of `oidc`; `oidc+NAME` says by which trust policy. */
const FEDERATED = /^oidc(?:\+(.*))?$/s;

export interface LoginAttempt {
  readonly username: string;
  readonly password: string;
  /** The client's IP address. */
  readonly address: string;
}

/** Writes down that a login was refused. */
export type RecordDenied = (actor: Actor, detail: { account: string; reason: string }) => Promise<void>;

/** Tells from a name and a password who someone is. */
export class Logins {
  readonly #users: UsersRepository;
  readonly #robots: RobotsRepository;
  readonly #secrets: SecretsRepository;
  readonly #hasher: PasswordHasher;
  readonly #throttle: LoginThrottle;
  readonly #federated: FederatedLogins;
  readonly #denied: RecordDenied;
  readonly #recent = new RecentPasswords();

  constructor(ports: {
    users: UsersRepository;
    robots: RobotsRepository;
    secrets: SecretsRepository;
    hasher: PasswordHasher;
    throttle: LoginThrottle;
    federated: FederatedLogins;
    denied: RecordDenied;
  }) {
    this.#users = ports.users;
    this.#robots = ports.robots;
    this.#secrets = ports.secrets;
    this.#hasher = ports.hasher;
    this.#throttle = ports.throttle;
    this.#federated = ports.federated;
    this.#denied = ports.denied;
  }

  /**
   * Throws `unauthorized`, for a password the same way for every reason; `too-many` for who failed too often, and when too many log
   * in at once.
   */
  async logIn(attempt: LoginAttempt): Promise<Login> {
    const { username, address } = attempt;
    // A CI job's token is checked by its signature: there is nothing to guess, and nothing to slow down.
    const source = FEDERATED.test(username) ? undefined : sourceOf(attempt);
    const prove = () => this.#prove(attempt);
    try {
      return source ? await this.#throttle.guard(source, prove) : await prove();
    } catch (error) {
      if (isKind(error, 'unauthorized')) {
        const reason = error.message;
        await this.#denied({ principal: 'anonymous', address }, { account: username.slice(0, 100), reason });
      }
      throw error;
    }
  }

  /** By a robot's secret or a personal access token alone, whosever it is. Throws as `logIn`. */
  async logInBySecret(text: string, address: string): Promise<Login> {
    const id = readSecret(text)?.id;
    const secret = id === undefined ? undefined : await this.#secrets.find(id);
    const [kind, name = ''] = secret?.owner.split(':') ?? [];
    return await this.logIn({ username: kind === 'robot' ? `robot+${name}` : name, password: text, address });
  }

  /** Whether a user or a robot is there and may log in: for what else proves who somebody is. */
  async isActive(owner: string): Promise<boolean> {
    const [kind, name = ''] = owner.split(':');
    if (kind === 'robot') return await this.#robotMay(name, Date.now());
    return kind === 'user' && (await this.#userMay(name));
  }

  /** A login that goes on: throws `unauthorized` when its subject may no longer log in. */
  async resume(principal: string, secretId: string | undefined): Promise<Login> {
    const at = Date.now();
    const [kind, name = ''] = principal.split(':');
    if (kind === 'robot' ? !(await this.#robotMay(name, at)) : !(await this.#userMay(name))) throw refused();
    if (secretId === undefined) return loginOf(`user:${name}`, at);
    const secret = await this.#secrets.find(secretId);
    if (!secret || secret.owner !== principal || (secret.expiresAt ?? at) < at) throw refused();
    return loginOf(secret.owner, at, { limits: secret.permissions, secretId });
  }

  async #prove({ username, password, address }: LoginAttempt): Promise<Login> {
    const at = Date.now();
    const federated = FEDERATED.exec(username);
    if (federated) return await this.#federated.logIn(password, { policy: federated[1], address });
    if (password.length > MAX_PASSWORD_LENGTH) throw refused();
    const robot = ROBOT.exec(username)?.[1];
    const secret = readSecret(password);
    if (secret && secret.kind !== 'refresh') {
      const owner = robot === undefined ? (`user:${username}` as const) : (`robot:${robot}` as const);
      return await this.#proveBySecret(secret.id, password, owner, at);
    }
    // A robot has no password; that it is one must not show in how long the answer takes.
    return await this.#proveByPassword(robot === undefined ? username : '', password, at);
  }

  async #proveBySecret(
    id: string,
    text: string,
    owner: `${'user' | 'robot'}:${string}`,
    at: number,
  ): Promise<Login> {
    const secret = await this.#secrets.find(id);
    if (!secret || !secretMatches(text, secret.hash) || secret.owner !== owner) throw refused();
    const [kind, name = ''] = owner.split(':');
    const may = kind === 'robot' ? await this.#robotMay(name, at) : await this.#userMay(name);
    if (!may || (secret.expiresAt ?? at) < at) throw refused();
    await this.#secrets.used(secret);
    return loginOf(owner, at, { limits: secret.permissions, secretId: id });
  }

  async #proveByPassword(username: string, password: string, at: number): Promise<Login> {
    const user = isAccountName(username) ? await this.#users.findLogin(username) : undefined;
    const hash = user?.passwordHash;
    if (user && hash !== undefined && !user.disabled && this.#recent.has(username, password, hash)) {
      return loginOf(`user:${username}`, at);
    }
    const { matches, outdated } = await this.#hasher.verify(password, hash);
    if (!matches || !user || hash === undefined || user.disabled) throw refused();
    if (outdated) {
      const newHash = await this.#hasher.hash(password);
      await this.#users.loggedIn(username, { oldHash: hash, newHash });
    } else {
      this.#recent.add(username, password, hash);
      await this.#users.loggedIn(username);
    }
    return loginOf(`user:${username}`, at);
  }

  async #userMay(name: string): Promise<boolean> {
    return (await this.#users.findLogin(name))?.disabled === false;
  }

  async #robotMay(name: string, at: number): Promise<boolean> {
    const robot = await this.#robots.find(name);
    return robot !== undefined && !robot.disabled && (robot.expiresAt ?? at) >= at;
  }
}

function sourceOf({ username, password, address }: LoginAttempt): LoginSource {
  return { account: username.toLowerCase(), address, guessable: readSecret(password) === undefined };
}

/** One answer for a wrong password, an unknown user and one who is disabled. */
function refused() {
  return unauthorized('incorrect username or password');
}

/**
 * Which passwords were right a moment ago: a client asks for a token for each repository, each time with its
 * password, and a slow hash each time would be all that a small machine does. Kept is a keyed hash under a key that
 * only this process has, and only as long as the user's password is the one that it was compared with.
 */
class RecentPasswords {
  readonly #key = randomBytes(32);
  readonly #right = new Map<string, string>();

  has(username: string, password: string, hash: string): boolean {
    return this.#right.get(this.#keyed(username, password)) === hash;
  }

  add(username: string, password: string, hash: string): void {
    const oldest = this.#right.size >= REMEMBERED ? this.#right.keys().next().value : undefined;
    if (oldest !== undefined) this.#right.delete(oldest);
    this.#right.set(this.#keyed(username, password), hash);
  }

  #keyed(username: string, password: string): string {
    return createHmac('sha256', this.#key).update(`${username}\0${password}`).digest('base64');
  }
}
