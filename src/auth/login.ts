import type { Permission } from './policies/grant.ts';
import type { Subject } from './policies/subject.ts';

/** Someone who proved who they are. */
export interface Login {
  readonly subject: Subject;
  /** Who that is in logs, where that says more than the subject. */
  readonly principal: string;
  /** Whose grants count. */
  readonly subjects: readonly Subject[];
  /** What the proof is good for at most; undefined for all that the subject may. */
  readonly limits: readonly Permission[] | undefined;
  /** The secret that it was proved with, if it was one. */
  readonly secretId: string | undefined;
  /** Whether the client may stay logged in with a refresh token. */
  readonly lasting: boolean;
  /** How long its access tokens live, in milliseconds, where that is not what others' do. */
  readonly tokenLife?: number | undefined;
  /** When it began, in milliseconds since 1970: what is revoked after that concerns it. */
  readonly at: number;
}

export function loginOf(
  subject: Subject,
  at: number,
  more: Partial<Pick<Login, 'limits' | 'secretId'>> = {},
): Login {
  const { limits, secretId } = more;
  return { subject, principal: subject, subjects: [subject], limits, secretId, lasting: true, at };
}
