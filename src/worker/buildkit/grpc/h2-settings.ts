import type { Http2Session, SecureServerOptions } from 'node:http2';

const MIB = 1024 * 1024;
const STREAM_WINDOW_BYTES = 2 * MIB;
const CONNECTION_WINDOW_BYTES = 8 * MIB;

/**
 * For both roles. The windows are what a peer may have under way at once, and so what a call and a connection can hold
 * in memory here; HTTP/2's own 64 KiB would slow file transfers down.
 */
export const h2Options = {
  settings: { initialWindowSize: STREAM_WINDOW_BYTES, maxFrameSize: 256 * 1024, enablePush: false },
  // Include patterns of a sync are one header each.
  maxHeaderListPairs: 8_192,
  maxSendHeaderBlockLength: 4 * MIB,
  maxSessionMemory: 128,
} satisfies SecureServerOptions;

export function widenWindow(session: Http2Session): void {
  session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
}
