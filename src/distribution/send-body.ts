import type { ClientRequest } from 'node:http';

/**
 * Sends a request's body, and ends the request. A chunk is its maker's again when the next one is asked for: the kernel
 * has it then. Stops asking when the request is over before the body is. Throws what the body throws.
 */
export async function sendBody(request: ClientRequest, body: AsyncIterable<Uint8Array>): Promise<void> {
  const chunks = body[Symbol.asyncIterator]();
  let wake = () => {};
  let over = request.destroyed;
  request.once('close', () => {
    over = true;
    wake();
    // What it waits for may be long in coming.
    chunks.return?.().catch(() => undefined);
  });
  for (;;) {
    const { done, value } = await chunks.next();
    if (over) return;
    if (done) break;
    await new Promise<void>((resolve) => {
      wake = resolve;
      request.write(value, () => resolve());
    });
    if (over) return;
  }
  request.end();
}
