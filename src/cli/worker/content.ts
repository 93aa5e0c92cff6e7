import { contentOf } from '#pool/http/content-route.ts';
import type { WorkerContent } from '#pool/workers/worker-content.ts';
import type { WorkerParts } from './parts.ts';

/** What a worker has, for its heartbeats: only when an image came, went or was renamed since it was asked for last. */
export function newContent(
  { events, images }: Pick<WorkerParts, 'events' | 'images'>,
  started: AsyncDisposableStack,
): (again: boolean) => Promise<WorkerContent | undefined> {
  let isNew = true;
  let isHeard = true;
  const stopping = new AbortController();
  started.defer(() => stopping.abort());
  const listen = async () => {
    const matches = ({ type }: { type: string }) => type === 'image';
    for await (const _event of events.subscribe({ matches, signal: stopping.signal })) isNew = true;
  };
  // Without events it is always told: the pool finds out what is new.
  const deaf = () => {
    isHeard = false;
  };
  listen().then(deaf, deaf);
  return async (again) => {
    if (!isNew && !again) return undefined;
    isNew = !isHeard;
    return await contentOf(images);
  };
}
