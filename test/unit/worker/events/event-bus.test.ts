import { describe, expect, it } from 'vitest';
import { EventBus, type StampedEvent } from '#worker/events/event-bus.ts';
import { eventFilter } from '#worker/events/event-filter.ts';
import type { EngineEvent } from '#worker/events/event-publisher.ts';

const event = (action: string, change: Partial<EngineEvent> = {}): EngineEvent => ({
  type: 'container',
  action,
  actor: { id: 'abc', attributes: { name: 'web', image: 'nginx:1', team: 'a' } },
  ...change,
});

async function collect(
  events: AsyncIterable<StampedEvent>,
  count = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const actions: string[] = [];
  for await (const { action } of events) if (actions.push(action) === count) break;
  return actions;
}

describe('the bus', () => {
  it('gives what comes after the call, in order, to every reader', async () => {
    const bus = new EventBus();
    const signal = new AbortController().signal;
    bus.publish(event('create'));
    const readers = [bus.subscribe({ signal }), bus.subscribe({ signal })];
    bus.publish(event('start'));
    bus.publish(event('die'));
    for (const reader of readers) expect(await collect(reader, 2)).toEqual(['start', 'die']);
    expect(bus.listeners).toBe(0);
  });

  it('keeps a bounded past', async () => {
    const bus = new EventBus();
    for (let index = 0; index < 1000; index++) bus.publish(event(`e${index}`));
    const past = await collect(
      bus.subscribe({ since: 0, until: Date.now() + 1, signal: new AbortController().signal }),
    );
    expect(past).toHaveLength(256);
    expect(past.at(-1)).toBe('e999');
  });

  it('stamps with ever increasing times', async () => {
    const bus = new EventBus();
    for (let index = 0; index < 100; index++) bus.publish(event('x'));
    const times: number[] = [];
    for await (const { timeNano } of bus.subscribe({
      since: 0,
      until: Date.now() + 1,
      signal: new AbortController().signal,
    })) {
      times.push(timeNano);
    }
    expect(new Set(times).size).toBe(100);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  it('ends when the reader leaves', async () => {
    const bus = new EventBus();
    const controller = new AbortController();
    const reading = collect(bus.subscribe({ signal: controller.signal }));
    controller.abort();
    expect(await reading).toEqual([]);
    expect(bus.listeners).toBe(0);
  });

  it('cuts off a reader that never reads', () => {
    const bus = new EventBus();
    const reader = bus.subscribe({ signal: new AbortController().signal });
    for (let index = 0; index < 20_000; index++) bus.publish(event('x'));
    return expect(collect(reader).then((all) => all.length)).resolves.toBeLessThan(17_000);
  });
});

describe('filters', () => {
  const passes = (filters: Record<string, string[]>, given = event('start')) =>
    eventFilter(new Map(Object.entries(filters)))(given);

  it.each([
    [{}, true],
    [{ type: ['container'] }, true],
    [{ type: ['image', 'container'] }, true],
    [{ type: ['image'] }, false],
    [{ event: ['start'] }, true],
    [{ event: ['stop'] }, false],
    [{ container: ['web'] }, true],
    [{ container: ['abc'] }, true],
    [{ container: ['other'] }, false],
    [{ image: ['nginx'] }, true],
    [{ image: ['nginx:2', 'redis'] }, false],
    [{ label: ['team'] }, true],
    [{ label: ['team=a', 'team=b'] }, false],
    [{ scope: ['swarm'] }, false],
    [{ network: ['web'] }, false],
  ] as [Record<string, string[]>, boolean][])('%j: %s', (filters, expected) => {
    expect(passes(filters)).toBe(expected);
  });

  it('an exec’s action is more than its name', () => {
    expect(passes({ event: ['exec_create'] }, event('exec_create: sh -c ls'))).toBe(true);
    expect(passes({ event: ['exec_create'] }, event('exec_start: sh'))).toBe(false);
  });
});
