import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';

/** What Slipway can run as a process of its own. */
export const roleNames = ['registry', 'gateway', 'worker'] as const;
export type RoleName = (typeof roleNames)[number];

export interface RoleContext {
  readonly logger: Logger;
  /** Aborts when the process is asked to stop, before the running role is disposed. */
  readonly signal: AbortSignal;
  /** Calls `reload` whenever the process is asked to read its files again. */
  onReload(reload: () => void): void;
}

/** A role that serves. Disposing stops it in order: no new requests, those under way end, files are closed. */
export interface RunningRole extends AsyncDisposable {
  /** Takes nothing new, and resolves when what is under way is over, or was waited for long enough: before disposal. */
  drain?(): Promise<void>;
  /** What it serves, as `http://host:port` or `unix:///path`. */
  readonly addresses: readonly string[];
}

/** The composition root of a role. It resolves once requests are answered. */
export type StartRole = (config: Config, context: RoleContext) => Promise<RunningRole>;

/** From a role's process to the supervisor, over the IPC channel. */
export type RoleMessage =
  | { readonly type: 'ready'; readonly addresses: readonly string[] }
  | { readonly type: 'failed'; readonly message: string };
