import type { ServerResponse } from 'node:http';
import type { ContentReader } from '#content/content-store.ts';
import { canceled } from '#errors/errors.ts';

/** Writes content to a client, as fast as that takes it. Throws `canceled` when it goes away. */
export async function sendContent(response: ServerResponse, content: ContentReader): Promise<void> {
  await content.each((chunk) => written(response, chunk));
}

/** Resolves when the chunk is with the kernel, and its memory free for the next one. */
function written(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const goneAway = () => reject(canceled('the client went away'));
    if (response.destroyed) return goneAway();
    response.once('close', goneAway);
    response.write(chunk, (error) => {
      response.off('close', goneAway);
      if (error) goneAway();
      else resolve();
    });
  });
}
