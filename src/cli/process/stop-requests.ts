/** A terminal's Ctrl-C arrives twice under npm: from the terminal and passed on by npm. */
const sameRequest = 1_000;

/**
 * Calls `stop` when the process is asked to end (SIGINT, SIGTERM) and `hurry` when it is asked again. SIGHUP says of
 * a process in a terminal that the terminal is gone, and asks any other one to `reload` its files.
 */
export function onStopRequest(callbacks: {
  stop: (signal: NodeJS.Signals) => void;
  hurry: () => void;
  reload: () => void;
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
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, asked);
  process.on('SIGHUP', inTerminal() ? asked : callbacks.reload);
}

function inTerminal(): boolean {
  return [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
}
