import { isRepositoryName, type RepositoryName } from '#oci/reference.ts';
import type { Upstreams } from './upstreams.ts';

/** Which repositories are pulled through, and from where. */
export interface MirrorRule {
  /** Repositories below it, such as `hub`; `''` for all that no other rule is for. */
  readonly prefix: string;
  /** The registry that they stand for, such as `docker.io`, when clients say which one they mean. */
  readonly namespace: string | undefined;
  readonly upstreams: Upstreams;
}

/** A repository that is pulled through. */
export interface Mirrored {
  /** What it is called upstream. */
  readonly upstreamName: RepositoryName;
  readonly upstreams: Upstreams;
  /** Whether all there is in it came from upstream: nothing can be pushed to it. */
  readonly pure: boolean;
}

export class MirrorRules {
  readonly #rules: readonly MirrorRule[];

  constructor(rules: readonly MirrorRule[]) {
    // The longest prefix is the most particular one.
    this.#rules = [...rules].sort((a, b) => b.prefix.length - a.prefix.length);
  }

  find(repository: RepositoryName): Mirrored | undefined {
    for (const { prefix, upstreams } of this.#rules) {
      if (prefix === '') return { upstreamName: repository, upstreams, pure: false };
      if (!repository.startsWith(`${prefix}/`)) continue;
      const upstreamName = repository.slice(prefix.length + 1) as RepositoryName;
      return { upstreamName, upstreams, pure: true };
    }
    return undefined;
  }

  /** What a repository of another registry is called here; undefined when that one is not mirrored. */
  nameOf(namespace: string, repository: string): string | undefined {
    const rule = this.#rules.find((it) => it.namespace === namespace.toLowerCase());
    if (!rule || !isRepositoryName(repository)) return undefined;
    return rule.prefix === '' ? repository : `${rule.prefix}/${repository}`;
  }
}
