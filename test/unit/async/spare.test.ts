import { describe, expect, it, vi } from 'vitest';
import { Spare } from '#async/spare.ts';

class Thing implements AsyncDisposable {
  gone = false;

  async [Symbol.asyncDispose](): Promise<void> {
    this.gone = true;
  }
}

function spares(options: { idleMs: number } = { idleMs: 60_000 }) {
  const made: Thing[] = [];
  const spare = new Spare<Thing>(async () => {
    const thing = new Thing();
    made.push(thing);
    return thing;
  }, options);
  return { spare, made };
}

describe('Spare', () => {
  it('has nothing until it was told to make one, and one at a time', async () => {
    const { spare, made } = spares();
    expect(await spare.take()).toBeUndefined();
    spare.prepare();
    spare.prepare();
    expect(await spare.take()).toBe(made[0]);
    expect(await spare.take()).toBeUndefined();
    expect(made).toHaveLength(1);
    expect(made[0]!.gone).toBe(false);
  });

  it('gives up what nobody takes', async () => {
    const { spare, made } = spares({ idleMs: 1 });
    spare.prepare();
    await vi.waitFor(() => expect(made[0]?.gone).toBe(true), { timeout: 30_000 });
    expect(await spare.take()).toBeUndefined();
  });

  it('has none when none could be made', async () => {
    const spare = new Spare(() => Promise.reject(new Error('no')), { idleMs: 60_000 });
    spare.prepare();
    expect(await spare.take()).toBeUndefined();
  });

  it('leaves nothing behind when it is disposed of, not even what is being made', async () => {
    const { promise, resolve } = Promise.withResolvers<Thing>();
    const spare = new Spare(() => promise, { idleMs: 60_000 });
    spare.prepare();
    const disposed = spare[Symbol.asyncDispose]();
    const thing = new Thing();
    resolve(thing);
    await disposed;
    expect(thing.gone).toBe(true);
    spare.prepare();
    expect(await spare.take()).toBeUndefined();
  });
});
