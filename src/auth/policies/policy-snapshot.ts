import type { Permission } from './grant.ts';
import { type Permissions, permissionsOf } from './permissions.ts';
import type { PolicyRows } from './policies-repository.ts';
import type { Subject } from './subject.ts';

/** Who may do what, at one moment. */
export class PolicySnapshot {
  readonly #grants = new Map<string, Permission[]>();
  readonly #groups = new Map<string, Subject[]>();
  readonly #revoked: ReadonlyMap<string, number>;
  readonly #known = new Map<string, Permissions>();

  constructor(rows: PolicyRows) {
    for (const { subject, pattern, actions } of rows.grants) add(this.#grants, subject, { pattern, actions });
    for (const { member, group } of rows.members) add(this.#groups, member, `group:${group}` as const);
    this.#revoked = new Map(rows.revocations.map((it) => [it.principal, it.issuedBefore]));
  }

  /** What the subjects may do together: by themselves, by their groups, and as everyone may. */
  permissions(subjects: readonly Subject[]): Permissions {
    const key = subjects.join(' ');
    let known = this.#known.get(key);
    if (!known) {
      const groups = subjects.flatMap((subject) => this.#groups.get(subject) ?? []);
      const everyone: Subject[] = subjects.every((it) => it === 'anonymous') ? [] : ['authenticated'];
      const all = new Set<Subject>([...subjects, ...groups, ...everyone, 'anonymous']);
      known = permissionsOf([...all].flatMap((subject) => this.#grants.get(subject) ?? []));
      this.#known.set(key, known);
    }
    return known;
  }

  /** Whether what was issued to a principal at a time (milliseconds since 1970) is worth nothing any more. */
  isRevoked(principal: string, issuedAt: number): boolean {
    return issuedAt <= (this.#revoked.get(principal) ?? Number.NEGATIVE_INFINITY);
  }
}

function add<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
}
