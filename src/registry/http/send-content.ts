import type { ServerResponse } from 'node:http';
import { canceled } from '#errors/errors.ts';

/** Writes content to a client, as fast as that takes it. Throws `canceled` when it goes away. */
export async function sendContent(
  response: ServerResponse,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const chunk of content) {
    if (response.destroyed) throw canceled('the client went away');
    if (!response.write(chunk)) await drained(response);
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}
