/** What a review of manifests or links is about. */
export interface ReviewKey {
  readonly repository_id: number;
  readonly digest: string;
}

/** What one step of the collector did. */
export interface ReviewResult {
  /** How many candidates were looked at; 0 when none is due. */
  readonly reviewed: number;
  readonly deleted: number;
}

export const NOTHING_DUE: ReviewResult = { reviewed: 0, deleted: 0 };

/** Those of `keys` that are not among `others`. */
export function without<K extends ReviewKey>(keys: readonly K[], others: readonly ReviewKey[]): K[] {
  const known = new Set(others.map(textOf));
  return keys.filter((key) => !known.has(textOf(key)));
}

function textOf({ repository_id, digest }: ReviewKey): string {
  return `${repository_id} ${digest}`;
}
