import type { ClassicRequest } from '#worker/build/classic/classic-request.ts';

/** A build of BuildKit's that is asked for in one request: `POST /build?version=2`. */
export interface BuildRequest extends Omit<ClassicRequest, 'context' | 'tellRemoved'> {
  /** The client's name for it, to cancel it by. */
  readonly id: string;
  /** Of the client's session; empty: it has none, and offers nothing but this request. */
  readonly sessionId: string;
  /**
   * Where its files are: with the client, in its session; in a request of their own, which comes as we speak; in this
   * request, as a tar that may be compressed; or behind a URL.
   */
  readonly context: 'session' | 'upload' | AsyncIterable<Uint8Array> | { readonly remote: string };
  /** undefined: an image for the engine's store, named by `tags`. */
  readonly output: { readonly type: string; readonly attrs: Readonly<Record<string, string>> } | undefined;
}

/** Hears a build's progress; each call resolves when the next may follow. */
export interface BuildRequestOutput {
  /** `moby.buildkit.v1.StatusResponse`, encoded. */
  trace(message: Uint8Array): Promise<void>;
}
