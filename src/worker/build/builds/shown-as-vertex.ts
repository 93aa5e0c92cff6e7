import { isKind, messageOf } from '#errors/errors.ts';
import type { ProgressSink } from '../solve/progress.ts';

/** Shows something that a build does beside its graph as if it were a vertex of it. */
export async function shownAsVertex<T>(
  progress: Pick<ProgressSink, 'vertex'>,
  { digest, name }: { digest: string; name: string },
  task: () => Promise<T>,
): Promise<T> {
  const event = { digest, name, inputs: [], cached: false, started: new Date() };
  progress.vertex(event);
  try {
    const result = await task();
    progress.vertex({ ...event, completed: new Date() });
    return result;
  } catch (error) {
    const message = isKind(error, 'canceled') ? 'context canceled' : messageOf(error);
    progress.vertex({ ...event, completed: new Date(), error: message });
    throw error;
  }
}
