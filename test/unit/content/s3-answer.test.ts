import { expect, it } from 'vitest';
import { S3Answer } from '#content/s3-answer.ts';

const KIB = 1024;

/** An answer whose bytes come when the test says so. */
function answer() {
  const events: string[] = [];
  const headBuffer = Buffer.alloc(16 * KIB);
  const incoming = new S3Answer({
    headBuffer,
    resume: () => events.push('resume'),
    ended: (reusable) => events.push(reusable ? 'whole' : 'over'),
  });
  /** As a socket does: as much as there is room for, at once. Returns what did not fit, or was not wanted. */
  const receive = (bytes: Uint8Array): Uint8Array => {
    let left = bytes;
    while (left.length > 0) {
      const part = left.subarray(0, incoming.target.length);
      incoming.target.set(part);
      left = left.subarray(part.length);
      if (!incoming.received(part.length)) break;
    }
    return left;
  };
  return { incoming, receive, events };
}

const bytesOf = (size: number) => Buffer.alloc(size).map((_, index) => (index * 31 + (index >> 9)) & 255);
const head = (length: number) =>
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\nETag: "e"\r\n\r\n`);

async function read(incoming: S3Answer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

it.each([1, 7, 100, 16 * KIB])('puts together what comes in pieces of %d bytes', async (piece) => {
  const { incoming, receive, events } = answer();
  const body = bytesOf(3000);
  const all = Buffer.concat([head(body.length), body]);
  for (let at = 0; at < all.length; at += piece) receive(all.subarray(at, at + piece));
  expect(await incoming.head).toMatchObject({ status: 200, length: 3000 });
  expect(events).toEqual(['whole']);
  expect((await read(incoming)).equals(body)).toBe(true);
});

it('says that nothing follows where the server says so', async () => {
  const { incoming, receive, events } = answer();
  receive(Buffer.from('HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 3\r\n\r\nend'));
  expect(String(await read(incoming))).toBe('end');
  expect(events).toEqual(['over']);
});

it('ends with the head when there is no body', async () => {
  const { incoming, receive, events } = answer();
  receive(head(0));
  expect(events).toEqual(['whole']);
  expect(await read(incoming)).toHaveLength(0);
});

it('takes no more than two buffers while nobody reads, and goes on as chunks are done with', async () => {
  const { incoming, receive, events } = answer();
  const body = bytesOf(5000 * KIB);
  let left: Uint8Array = receive(Buffer.concat([head(body.length), body]));
  const kept = body.length - left.length;
  expect([kept > 500 * KIB, kept <= 1024 * KIB, incoming.paused]).toEqual([true, true, true]);
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) {
    const before = Buffer.from(chunk);
    if (!incoming.paused) left = receive(left);
    // What is being read never lands in the chunk that somebody has.
    expect(before.equals(chunk)).toBe(true);
    chunks.push(before);
  }
  expect(Buffer.concat(chunks).equals(body)).toBe(true);
  expect(events.filter((event) => event === 'resume').length).toBeGreaterThan(3);
  expect(events.at(-1)).toBe('whole');
});

it('says what has come, and then why no more does', async () => {
  const { incoming, receive, events } = answer();
  receive(Buffer.concat([head(100), Buffer.from('beginning')]));
  incoming.fail(new Error('cut'));
  const chunks = incoming[Symbol.asyncIterator]();
  expect(String((await chunks.next()).value)).toBe('beginning');
  await expect(chunks.next()).rejects.toThrow('cut');
  expect(events).toEqual(['over']);
});

it.each([
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n'],
  ['an interim answer', 'HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n'],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
  ['a line that is no field', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n folded\r\n\r\n'],
  ['a head without an end', `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(8000)}`],
])('refuses an answer with %s', async (_, text) => {
  const { incoming, receive, events } = answer();
  receive(Buffer.from(text));
  await expect(incoming.head).rejects.toThrow();
  expect(events).toEqual(['over']);
});

it.each([
  ['no length', 'HTTP/1.1 200 OK\r\n\r\n'],
  ['chunks', 'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['chunks and a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: 0x10\r\n\r\n'],
])('reads no more than the head of an answer with %s', async (_, text) => {
  const { incoming, receive, events } = answer();
  receive(Buffer.from(`${text}12345`));
  expect((await incoming.head).length).toBeUndefined();
  await expect(read(incoming)).rejects.toThrow();
  expect(events).toEqual(['over']);
});

it.each([1, 60_000])('refuses %d bytes more than the answer has', async (more) => {
  const { incoming, receive, events } = answer();
  receive(Buffer.concat([head(10), Buffer.alloc(10 + more)]));
  await expect(read(incoming)).rejects.toThrow('more bytes');
  expect(events).toEqual(['over']);
});

it('lets go of everything when it is destroyed', async () => {
  const { incoming, receive, events } = answer();
  receive(Buffer.concat([head(100), Buffer.from('beginning')]));
  incoming.destroy();
  incoming.fail(new Error('later'));
  expect(await read(incoming)).toHaveLength(0);
  expect(events).toEqual(['over']);
});
