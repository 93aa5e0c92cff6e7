import { covers, type NamespacePattern } from '#auth/policies/pattern.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { ReplicationTarget } from './target.ts';

/** What is pushed on to another registry. */
export interface ReplicationRule {
  readonly name: string;
  /** For people: where that is. */
  readonly url: string;
  readonly target: ReplicationTarget;
  readonly repositories: readonly NamespacePattern[];
  /** What is put in front of names there, such as `backup`; `''` for nothing. */
  readonly prefix: string;
  /** Whether what is deleted here is deleted there. */
  readonly deletes: boolean;
}

export function isReplicated(rule: ReplicationRule, repository: string): boolean {
  return rule.repositories.some((pattern) => covers(pattern, repository));
}

/** What a repository is called there. */
export function targetName({ prefix }: ReplicationRule, repository: RepositoryName): RepositoryName {
  return prefix === '' ? repository : (`${prefix}/${repository}` as RepositoryName);
}
