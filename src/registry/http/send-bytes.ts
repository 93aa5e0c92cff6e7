import type { ServerResponse } from 'node:http';

/** Larger ones cost more to copy than a write to the socket costs. */
const SMALL = 64 * 1024;

/**
 * Ends an answer with bytes that are at hand. Node sends the head and a body that is text with one write, and one of
 * bytes with a gathering write, which takes several times as long to set up; so small ones are sent as the text, a
 * letter a byte, that Node's `latin1` turns into them again.
 */
export function sendBytes(response: ServerResponse, bytes: Uint8Array): void {
  if (bytes.length > SMALL) response.end(bytes);
  else response.end(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'), 'latin1');
}
