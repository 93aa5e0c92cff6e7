import { invalid } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import { parsePermission } from '../policies/grant.ts';
import { parseSubject } from '../policies/subject.ts';
import { checkedDescription, checkedTime } from '../robots/robots.ts';
import type { Secret, SecretOwner } from './secret.ts';
import { newSecret } from './secret-text.ts';
import type { SecretsRepository } from './secrets-repository.ts';

const MAX_PERMISSIONS = 20;

/** The secrets of robots and the personal access tokens of users. */
export class Secrets {
  readonly #secrets: SecretsRepository;

  constructor(ports: { secrets: SecretsRepository }) {
    this.#secrets = ports.secrets;
  }

  /** The one time that the secret itself is seen. Throws `not-found` for an unknown owner, `invalid`. */
  async create(
    wanted: {
      owner: string;
      description?: string | undefined;
      permissions?: readonly { pattern: string; actions: readonly string[] }[] | undefined;
      expiresAt?: number | undefined;
    },
    actor: Actor,
  ): Promise<Secret & { secret: string }> {
    const owner = parseOwner(wanted.owner);
    if ((wanted.permissions?.length ?? 0) > MAX_PERMISSIONS) {
      throw invalid(`expected at most ${MAX_PERMISSIONS} permissions`);
    }
    const { id, text, hash } = newSecret(owner.startsWith('robot:') ? 'robot' : 'personal');
    const secret: Secret = {
      id,
      owner,
      description: checkedDescription(wanted.description ?? ''),
      permissions: wanted.permissions?.map(parsePermission),
      expiresAt: checkedTime(wanted.expiresAt),
      createdAt: Date.now(),
      lastUsedAt: undefined,
    };
    await this.#secrets.insert({ ...secret, hash }, actor);
    return { ...secret, secret: text };
  }

  /** The oldest first. */
  async list(owner: string): Promise<Secret[]> {
    return await this.#secrets.list(parseOwner(owner));
  }

  /** Throws `not-found`. The owner's logins end: what is still good logs in again by itself. */
  async remove(owner: string, id: string, actor: Actor): Promise<void> {
    await this.#secrets.remove(parseOwner(owner), id, actor);
  }
}

function parseOwner(text: string): SecretOwner {
  const subject = parseSubject(text);
  if (!/^(?:user|robot):/.test(subject)) throw invalid(`${subject} has no secrets: only users and robots do`);
  return subject as SecretOwner;
}
