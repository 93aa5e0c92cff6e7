import type { Actor } from '#auth/actor.ts';
import type { AuthAction } from '#auth/record-change.ts';

export type { Actor };

/** Slipway itself: garbage collection, retention, mirrors. */
export const SYSTEM: Actor = { principal: 'system' };

/** Rules that hold for content. */
type PolicyAction =
  | 'retention.add'
  | 'retention.remove'
  | 'immutable.add'
  | 'immutable.remove'
  | 'quota.set'
  | 'quota.remove';

/** Who is told of changes. */
type WebhookAction = 'webhook.create' | 'webhook.update' | 'webhook.delete';

/** What requests are denied. */
type DeniedAction = 'login.token' | 'repository.pull' | 'repository.push' | 'repository.delete' | 'api.call';

/** `<what>.<done to it>`. */
export type EventAction =
  | AuthAction
  | DeniedAction
  | 'blob.push'
  | 'blob.mount'
  | 'blob.delete'
  | 'manifest.push'
  | 'manifest.delete'
  | 'tag.delete'
  | PolicyAction
  | WebhookAction;

/** What happened, to whom it concerns. */
export interface NewEvent {
  readonly action: EventAction;
  /** `done` unless said otherwise. */
  readonly outcome?: 'denied';
  readonly repository?: string | undefined;
  readonly digest?: string | undefined;
  readonly tag?: string | undefined;
  readonly mediaType?: string | undefined;
  /** In bytes. */
  readonly size?: number | undefined;
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
}
