import { invalid } from '#errors/errors.ts';
import type { Actor } from '../actor.ts';
import { KeptCopy } from '../kept-copy.ts';
import { type Grant, parsePermission } from './grant.ts';
import { parseNamespacePattern } from './pattern.ts';
import type { PoliciesRepository } from './policies-repository.ts';
import { PolicySnapshot } from './policy-snapshot.ts';
import { parseSubject } from './subject.ts';

/** Who may do what. Decisions are made on a copy in memory that follows every process's changes within a second. */
export class Policies {
  readonly #policies: PoliciesRepository;
  readonly copy: KeptCopy<PolicySnapshot>;

  constructor(ports: { policies: PoliciesRepository }) {
    const { policies } = ports;
    this.#policies = policies;
    this.copy = new KeptCopy({
      version: () => policies.version(),
      load: async () => new PolicySnapshot(await policies.load()),
    });
  }

  /** In the place of what the subject had on this pattern. Throws `invalid`, and `not-found` for its subject. */
  async put(
    wanted: { subject: string; pattern: string; actions: readonly string[] },
    actor: Actor,
  ): Promise<void> {
    const subject = parseSubject(wanted.subject);
    const permission = parsePermission(wanted);
    const more = permission.actions.find((action) => action !== 'pull');
    if (subject === 'anonymous' && more) throw invalid(`the anonymous can only pull, not ${more}`);
    await this.#policies.put({ subject, ...permission }, actor);
    this.copy.invalidate();
  }

  /** Throws `not-found`. */
  async remove(wanted: { subject: string; pattern: string }, actor: Actor): Promise<void> {
    const grant = { subject: parseSubject(wanted.subject), pattern: parseNamespacePattern(wanted.pattern) };
    await this.#policies.remove(grant, actor);
    this.copy.invalidate();
  }

  /** By subject and pattern. */
  async list(filter: { subject?: string | undefined } = {}): Promise<Grant[]> {
    const subject = filter.subject === undefined ? undefined : parseSubject(filter.subject);
    return await this.#policies.list({ subject });
  }
}
