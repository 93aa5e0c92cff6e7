/** Who makes a change, as the audit log names them. */
export interface Actor {
  /** `user:ada`, `robot:ci`, `anonymous`; `system` for what Slipway does by itself. */
  readonly principal: string;
  readonly address?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly requestId?: string | undefined;
}
