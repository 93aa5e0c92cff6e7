import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { dropRest } from '#async/drop-rest.ts';

const LIMITS = { bytes: 100, ms: 60_000 };

describe('the rest of a stream', () => {
  it('is read to its end within the limits', async () => {
    const stream = Readable.from([Buffer.alloc(60), Buffer.alloc(40)]);
    dropRest(stream, LIMITS);
    await once(stream, 'close');
    expect(stream.readableEnded).toBe(true);
  });

  it('is given up when there is more of it', async () => {
    const stream = new PassThrough();
    dropRest(stream, LIMITS);
    stream.write(Buffer.alloc(101));
    await once(stream, 'close');
    expect(stream.readableEnded).toBe(false);
  });

  it('is given up when it takes too long', async () => {
    const stream = new PassThrough();
    dropRest(stream, { ...LIMITS, ms: 10 });
    // What is waited for keeps no process alive.
    const alive = setInterval(() => {}, 1000);
    await once(stream, 'close');
    clearInterval(alive);
    expect(stream.destroyed).toBe(true);
  });

  it('may fail', async () => {
    const stream = new PassThrough();
    dropRest(stream, LIMITS);
    const closed = new Promise((resolve) => stream.once('close', resolve));
    stream.destroy(new Error('reset'));
    await closed;
    expect(stream.errored).toBeInstanceOf(Error);
  });
});
