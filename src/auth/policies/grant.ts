import { invalid } from '#errors/errors.ts';
import { ACTIONS, type Action } from '../access.ts';
import { type NamespacePattern, parseNamespacePattern } from './pattern.ts';
import type { Subject } from './subject.ts';

/** `admin` is all the others, and to decide who may do them; on `**` it is to administer all of Slipway. */
export const GRANT_ACTIONS = [...ACTIONS, 'admin'] as const;
export type GrantAction = Action | 'admin';

/** What may be done to some repositories, whoever may. */
export interface Permission {
  readonly pattern: NamespacePattern;
  readonly actions: readonly GrantAction[];
}

/** Who may do what to which repositories. A subject has one for each pattern. */
export interface Grant extends Permission {
  readonly subject: Subject;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly createdBy: string;
}

/** Reads a permission as people write it. Throws `invalid`. */
export function parsePermission(value: { pattern: string; actions: readonly string[] }): Permission {
  const unknown = value.actions.find((action) => !(GRANT_ACTIONS as readonly string[]).includes(action));
  if (unknown !== undefined || value.actions.length === 0) {
    throw invalid(`expected some of ${GRANT_ACTIONS.join(', ')}, got ${JSON.stringify(unknown ?? '')}`);
  }
  const actions = GRANT_ACTIONS.filter((action) => value.actions.includes(action));
  return { pattern: parseNamespacePattern(value.pattern), actions };
}
