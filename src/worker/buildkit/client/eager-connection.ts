import { Duplex } from 'node:stream';

/**
 * A connection whose writes are done at once, whatever its socket still holds. Node's HTTP/2 does not read while it waits
 * for a write: two of them, each with much to say, would wait for each other for ever. Only for a peer that is trusted:
 * what waits is bounded by the windows of HTTP/2, which the peer chooses.
 */
export function eagerConnection(socket: Duplex): Duplex {
  const connection = new Duplex({
    allowHalfOpen: true,
    read: () => void socket.resume(),
    write(chunk: Buffer, _encoding, done) {
      socket.write(chunk);
      done();
    },
    final: (done) => void socket.end(done),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk: Buffer) => {
    if (!connection.push(chunk)) socket.pause();
  });
  socket.once('end', () => connection.push(null));
  socket.once('error', (error) => connection.destroy(error));
  socket.once('close', () => connection.destroy());
  return connection;
}
