import type { BuildSession } from './build-session.ts';

/** The clients that are connected. */
export interface Sessions {
  /** Waits a little for one that is about to connect. Throws `not-found`. */
  find(id: string, options: { signal: AbortSignal }): Promise<BuildSession>;
}
