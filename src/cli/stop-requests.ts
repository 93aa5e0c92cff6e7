/** A terminal's Ctrl-C arrives twice under npm: from the terminal and passed on by npm. */
const sameRequest = 1_000;

/**
 * Calls `stop` when the process is asked to end (SIGINT, SIGTERM, SIGHUP) and `hurry` when it is asked again.
 */
export function onStopRequest(callbacks: {
  stop: (signal: NodeJS.Signals) => void;
  hurry: () => void;
}): void {
  let first: number | undefined;
  const asked = (signal: NodeJS.Signals) => {
    const now = performance.now();
    if (first === undefined) {
      first = now;
      callbacks.stop(signal);
    } else if (now - first > sameRequest) {
      callbacks.hurry();
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, asked);
}
