import type { StatusEvent } from './progress.ts';

/** Tells under a vertex that something goes on, of which nothing is known but when it is over. */
export async function oneOff<T>(
  { vertex, sink }: { vertex: string; sink: { status(event: StatusEvent): void } },
  name: string,
  task: () => Promise<T>,
): Promise<T> {
  const started = new Date();
  const event = { vertex, id: name, name, current: 0, total: 0, started };
  sink.status({ ...event, timestamp: started });
  const result = await task();
  const completed = new Date();
  sink.status({ ...event, timestamp: completed, completed });
  return result;
}
