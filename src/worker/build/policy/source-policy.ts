/**
 * What a build may be made of: rules that allow, deny or replace sources, as of BuildKit (sourcepolicy/pb/policy.proto).
 * Of the rules that allow and deny, the last that matches counts; a rule that replaces a source ends the reading, and all
 * policies are read anew for what it was replaced with.
 */
export interface SourcePolicy {
  readonly rules: readonly PolicyRule[];
}

export interface PolicyRule {
  /** A number: one that is not known. */
  readonly action: 'allow' | 'deny' | 'convert' | number;
  readonly selector: SourceSelector;
  /** What a `convert` replaces the source with. */
  readonly update?: {
    /** `$1` stands for what the first `*`, or group, matched; empty: that of the selector. */
    readonly identifier: string;
    readonly attrs: Readonly<Record<string, string>>;
  };
}

export interface SourceSelector {
  /** `docker-image://docker.io/library/alpine:*`, an expression, or the source's name exactly. */
  readonly identifier: string;
  readonly type: 'wildcard' | 'exact' | 'regex';
  /** Attributes of the source, all of which have to be so. */
  readonly constraints: readonly {
    readonly key: string;
    readonly value: string;
    readonly condition: 'equal' | 'not-equal' | 'matches';
  }[];
}
