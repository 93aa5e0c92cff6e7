import { Duplex } from 'node:stream';

/** What both BuildKit's sessions and ssh forwarding wrap raw bytes in. */
interface BytesMessage {
  readonly data: Uint8Array;
}

const MAX_CHUNK_BYTES = 1024 * 1024;

/**
 * A byte stream of what messages carry. Its end is the end of the other side's messages; `send` resolves when the next
 * may follow, and `finish` is called once after the last.
 */
export function messageDuplex(
  messages: AsyncIterable<BytesMessage>,
  { send, finish }: { send: (bytes: Uint8Array) => Promise<unknown>; finish: () => void },
): Duplex {
  const iterator = messages[Symbol.asyncIterator]();
  return new Duplex({
    allowHalfOpen: true,
    read() {
      pull(iterator).then(
        (bytes) => this.push(bytes),
        (error: Error) => this.destroy(error),
      );
    },
    write(chunk: Buffer, _encoding, done) {
      sendAll(chunk, send).then(() => done(), done);
    },
    writev(chunks, done) {
      sendAll(Buffer.concat(chunks.map(({ chunk }) => chunk)), send).then(() => done(), done);
    },
    final(done) {
      finish();
      done();
    },
  });
}

/** Empty messages say nothing; null at the end. */
async function pull(iterator: AsyncIterator<BytesMessage>): Promise<Uint8Array | null> {
  for (;;) {
    const { value, done } = await iterator.next();
    if (done) return null;
    if (value.data.length > 0) return value.data;
  }
}

async function sendAll(bytes: Buffer, send: (bytes: Uint8Array) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < bytes.length; at += MAX_CHUNK_BYTES)
    await send(bytes.subarray(at, at + MAX_CHUNK_BYTES));
}
