/** What a rule is about, and what of it is kept. What several rules are about goes when none of them keeps it. */
export interface RetentionRule {
  readonly id: number;
  /** A pattern of repositories' names. */
  readonly repositories: string;
  readonly subject: 'tagged' | 'untagged';
  /** A pattern of tags; `*` for untagged manifests. */
  readonly tags: string;
  /** So many are kept, those pushed last. */
  readonly keepNewest: number | undefined;
  /** Milliseconds. */
  readonly keepPushedWithin: number | undefined;
  /** Milliseconds. */
  readonly keepPulledWithin: number | undefined;
}

/** What rules look at. Times in milliseconds since 1970. */
export interface RetentionFacts {
  readonly pushedAt: number;
  readonly pulledAt: number | undefined;
  /** How many of those that the rule is about were pushed later. */
  readonly newer: number;
}

export interface Kept {
  /** When it may no longer be, by this rule; undefined when that depends on other pushes. */
  readonly until: number | undefined;
  readonly why: string;
}

/** How a rule keeps something; undefined when it does not. */
export function keptBy(rule: RetentionRule, facts: RetentionFacts, now: number): Kept | undefined {
  const { keepNewest, keepPushedWithin, keepPulledWithin } = rule;
  if (keepNewest !== undefined && facts.newer < keepNewest) {
    return { until: undefined, why: `is one of the ${keepNewest} newest` };
  }
  if (keepPulledWithin !== undefined && facts.pulledAt !== undefined) {
    const until = facts.pulledAt + keepPulledWithin;
    if (until > now) return { until, why: `was pulled ${days(now - facts.pulledAt)} ago` };
  }
  if (keepPushedWithin !== undefined) {
    const until = facts.pushedAt + keepPushedWithin;
    if (until > now) return { until, why: `was pushed ${days(now - facts.pushedAt)} ago` };
  }
  return undefined;
}

/** Why a rule does not keep something that it is about. */
export function notKeptBy(rule: RetentionRule, facts: RetentionFacts, now: number): string {
  const reasons: string[] = [];
  if (rule.keepNewest !== undefined) reasons.push(`${facts.newer} newer`);
  if (rule.keepPushedWithin !== undefined) reasons.push(`pushed ${days(now - facts.pushedAt)} ago`);
  if (rule.keepPulledWithin !== undefined) {
    reasons.push(facts.pulledAt === undefined ? 'never pulled' : `pulled ${days(now - facts.pulledAt)} ago`);
  }
  return reasons.join(', ');
}

const DAY = 24 * 60 * 60 * 1000;
const MINUTE = 60_000;

function days(milliseconds: number): string {
  if (milliseconds >= DAY) return `${Math.floor(milliseconds / DAY)}d`;
  if (milliseconds >= 60 * MINUTE) return `${Math.floor(milliseconds / (60 * MINUTE))}h`;
  return `${Math.max(Math.floor(milliseconds / MINUTE), 0)}m`;
}
