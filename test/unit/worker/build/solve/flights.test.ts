import { describe, expect, it } from 'vitest';
import { notFound } from '#errors/errors.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import { type FlightContext, Flights, type Passenger } from '#worker/build/solve/flights.ts';
import { Lease } from '#worker/build/solve/lease.ts';

/** A client that has one secret, as long as it is there. */
function client(id: string) {
  const controller = new AbortController();
  const session = {
    id,
    closed: controller.signal,
    offers: () => true,
    secret: async (name: string) => {
      if (name !== id) throw notFound(`secret ${name}: not found`);
      return Buffer.from(id);
    },
  } as unknown as BuildSession;
  return { session, leave: () => controller.abort() };
}

function passenger(session: BuildSession): Passenger {
  const watcher = { started: () => {}, completed: () => {}, status: () => {}, log: async () => {} };
  const { promise } = Promise.withResolvers<never>();
  return { session, left: promise, abandoned: () => {}, watcher: watcher as Passenger['watcher'] };
}

describe('flights', () => {
  it('lets those who were served be asked when the task is done', async () => {
    const flights = new Flights<FlightContext>();
    const [first, second] = [client('first'), client('second')];
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const task = async (context: FlightContext) => {
      await begun;
      return { value: context, lease: new Lease(async () => {}) };
    };
    const both = [first, second].map(({ session }) => flights.join('key', passenger(session), task));
    begin();
    const [{ value }] = await Promise.all(both as [(typeof both)[0], (typeof both)[0]]);
    expect(flights.size).toBe(0);
    const { signal } = new AbortController();
    expect(Buffer.from(await value.session.secret('first', { signal })).toString()).toBe('first');
    first.leave();
    expect(Buffer.from(await value.session.secret('second', { signal })).toString()).toBe('second');
    second.leave();
    await expect(value.session.secret('second', { signal })).rejects.toMatchObject({ kind: 'unavailable' });
  });
});
