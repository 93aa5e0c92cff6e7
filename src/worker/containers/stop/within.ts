import { unlessGivenUp } from '#async/unless-given-up.ts';

/** Whether something resolves within so many seconds; a negative number waits for ever. */
export async function within(promise: Promise<unknown>, seconds: number): Promise<boolean> {
  if (seconds < 0) {
    await promise;
    return true;
  }
  const done = promise.then(() => true);
  return (await unlessGivenUp(done, { within: Math.min(seconds * 1000, 2 ** 31 - 1) })) ?? false;
}
