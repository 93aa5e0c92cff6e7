import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { unlessGivenUp } from '#async/unless-given-up.ts';

const never = new Promise<string>(() => {});

describe('what is waited for unless it is given up', () => {
  it('is what the task comes to', async () => {
    const { signal } = new AbortController();
    expect(await unlessGivenUp(Promise.resolve('done'), { signal, within: 60_000 })).toBe('done');
    await expect(unlessGivenUp(Promise.reject(new Error('no')), { signal })).rejects.toThrow('no');
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('is undefined when the signal aborts, or has aborted before', async () => {
    const leaving = new AbortController();
    const waiting = unlessGivenUp(never, { signal: leaving.signal });
    leaving.abort();
    expect(await waiting).toBeUndefined();
    expect(await unlessGivenUp(never, { signal: leaving.signal })).toBeUndefined();
    expect(getEventListeners(leaving.signal, 'abort')).toHaveLength(0);
  });

  it('is undefined when it takes too long', async () => {
    expect(await unlessGivenUp(never, { within: 1 })).toBeUndefined();
    expect(await unlessGivenUp(never, { within: 0 })).toBeUndefined();
  });

  it('fails nobody when the task fails after that', async () => {
    const { promise, reject } = Promise.withResolvers<string>();
    expect(await unlessGivenUp(promise, { within: 1 })).toBeUndefined();
    // An unhandled rejection would fail this file.
    reject(new Error('too late'));
    await new Promise((resolve) => setImmediate(resolve));
  });
});
