/** Whether something resolves within so many seconds; a negative number waits for ever. */
export async function within(promise: Promise<unknown>, seconds: number): Promise<boolean> {
  if (seconds < 0) {
    await promise;
    return true;
  }
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.min(seconds * 1000, 2 ** 31 - 1));
  });
  try {
    return await Promise.race([promise.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
