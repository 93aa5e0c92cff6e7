import { invalid } from '#errors/errors.ts';

/** Whom a grant is for: `user:ada`, `robot:ci`, `group:devs`, `federated:<trust policy>`, and two that are many. */
export type Subject =
  | `${'user' | 'robot' | 'group' | 'federated'}:${string}`
  /** Everyone with credentials. */
  | 'authenticated'
  /** Everyone. */
  | 'anonymous';

const SUBJECT = /^(?:(?:user|robot|group|federated):(.*)|authenticated|anonymous)$/s;
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

/** Users, robots, groups and trust policies have names of one kind, in lower case: none looks like another. */
export function parseAccountName(text: string): string {
  if (isAccountName(text)) return text;
  throw invalid(
    `invalid name ${JSON.stringify(text.slice(0, 100))}: expected 1 to 64 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit`,
  );
}

export function isAccountName(text: string): boolean {
  return NAME.test(text);
}

/** Throws `invalid`. */
export function parseSubject(text: string): Subject {
  const match = SUBJECT.exec(text);
  if (!match) throw invalid(`invalid subject ${JSON.stringify(text.slice(0, 100))}`);
  if (match[1] !== undefined) parseAccountName(match[1]);
  return text as Subject;
}
