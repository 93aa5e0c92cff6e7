import { Duplex } from 'node:stream';

/** What both BuildKit's sessions and ssh forwarding wrap raw bytes in. */
interface BytesMessage {
  readonly data: Uint8Array;
}

const MAX_CHUNK_BYTES = 1024 * 1024;
/** Smaller pieces are put together up to it. */
const MIN_CHUNK_BYTES = 64 * 1024;

/**
 * A byte stream of what messages carry, which come in batches. Its end is the end of the other side's messages; `send`
 * resolves when the next may follow, and `finish` is called once after the last.
 */
export function messageDuplex(
  batches: AsyncIterable<readonly BytesMessage[]>,
  { send, finish }: { send: (bytes: Uint8Array) => Promise<unknown>; finish: () => void },
): Duplex {
  const iterator = batches[Symbol.asyncIterator]();
  return new Duplex({
    allowHalfOpen: true,
    read() {
      pull(iterator).then(
        (chunks) => {
          for (const chunk of chunks) this.push(chunk);
        },
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
async function pull(iterator: AsyncIterator<readonly BytesMessage[]>): Promise<(Uint8Array | null)[]> {
  for (;;) {
    const { value, done } = await iterator.next();
    if (done) return [null];
    const chunks = joined(value);
    if (chunks.length > 0) return chunks;
  }
}

/** HTTP/2 on top of it looks at each piece by itself, and a walk over a context is one of 100 bytes for each file. */
function joined(messages: readonly BytesMessage[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let pieces: Uint8Array[] = [];
  let length = 0;
  const flush = () => {
    if (length > 0) chunks.push(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, length));
    pieces = [];
    length = 0;
  };
  for (const { data } of messages) {
    pieces.push(data);
    length += data.length;
    if (length >= MIN_CHUNK_BYTES) flush();
  }
  flush();
  return chunks;
}

async function sendAll(bytes: Buffer, send: (bytes: Uint8Array) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < bytes.length; at += MAX_CHUNK_BYTES)
    await send(bytes.subarray(at, at + MAX_CHUNK_BYTES));
}
