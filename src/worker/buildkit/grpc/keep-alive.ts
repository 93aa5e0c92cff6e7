import type { Http2Session } from 'node:http2';
import type { Duplex } from 'node:stream';

/**
 * Ends a connection whose peer is gone without a word, as when its machine or the way to it was lost: every
 * `intervalMs` in which nothing came, the peer is asked whether it is there (PING, RFC 9113 section 6.7), and until the
 * next time it has to have said something, whatever that is.
 */
export function keepAlive(session: Http2Session, connection: Duplex, intervalMs: number): void {
  const received = () => ('bytesRead' in connection ? Number(connection.bytesRead) : 0);
  let heard = received();
  let asked = false;
  const timer = setInterval(() => {
    const now = received();
    if (now !== heard) asked = false;
    heard = now;
    if (asked) {
      // What it was sent waits for it in vain.
      connection.destroy();
      session.destroy();
    } else {
      asked = session.ping(() => {
        asked = false;
      });
    }
  }, intervalMs).unref();
  session.once('close', () => clearInterval(timer));
}
