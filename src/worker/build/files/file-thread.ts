import { parentPort } from 'node:worker_threads';
import { SlipwayError } from '#errors/errors.ts';
import type { FileThreadError, FromFileThread, ToFileThread } from './file-messages.ts';
import { FileService } from './file-service.ts';

/** A build's file thread: does one operation after the other, synchronously, away from the event loop. */
const port = parentPort!;
const service = new FileService();
let last: Promise<unknown> = Promise.resolve();

port.on('message', ({ id, operation, request }: ToFileThread) => {
  last = last.then(async () => {
    try {
      const result = await service[operation](request as never);
      port.postMessage({ id, result } satisfies FromFileThread);
    } catch (error) {
      port.postMessage({ id, error: describe(error) } satisfies FromFileThread);
    }
  });
});

// It has loaded all that it needs.
port.postMessage({ id: 0 } satisfies FromFileThread);

function describe(error: unknown): FileThreadError {
  const thrown = error instanceof Error ? error : new Error(String(error));
  const known = error instanceof SlipwayError ? error : undefined;
  return { kind: known?.kind, code: known?.code, message: thrown.message, stack: thrown.stack };
}
