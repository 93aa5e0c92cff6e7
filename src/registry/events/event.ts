/** Who makes a change, as the audit log names them. */
export interface Actor {
  /** `user:ada`, `robot:ci`, `anonymous`; `system` for what Slipway does by itself. */
  readonly principal: string;
  readonly address?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly requestId?: string | undefined;
}

/** Slipway itself: garbage collection, retention, mirrors. */
export const SYSTEM: Actor = { principal: 'system' };

/** `<what>.<done to it>`. */
export type EventAction =
  | 'blob.push'
  | 'blob.mount'
  | 'blob.delete'
  | 'manifest.push'
  | 'manifest.delete'
  | 'tag.delete';

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
