import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Actor } from './actor.ts';

/** `<what>.<done to it>`, for the audit log. */
export type AuthAction =
  | 'user.create'
  | 'user.update'
  | 'user.delete'
  | 'robot.create'
  | 'robot.update'
  | 'robot.delete'
  | 'secret.create'
  | 'secret.delete'
  | 'grant.put'
  | 'grant.delete'
  | 'group.add'
  | 'group.remove'
  | 'trust.put'
  | 'trust.delete'
  | 'keys.rotate'
  | 'login.password'
  | 'login.exchange'
  | 'login.oidc';

export interface AuthEvent {
  readonly action: AuthAction;
  /** `done` unless said otherwise. */
  readonly outcome?: 'denied';
  /** What it was done to, and how; never a secret. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Writes changes of who may do what to the audit log, in the transaction that makes them. */
export type RecordChange = (
  trx: RegistryDatabase,
  actor: Actor,
  events: readonly AuthEvent[],
) => Promise<void>;
