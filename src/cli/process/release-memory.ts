import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** When what a start left behind is garbage, in milliseconds. */
const SETTLED = 1_000;

/**
 * Collects what a start left behind, once: reading a thousand modules leaves 25 MB of garbage that V8 sees no reason to
 * look at while little happens, and an idle registry would keep them for good.
 */
export function releaseMemoryOfStart(): void {
  const timer = setTimeout(() => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as NodeJS.GCFunction;
    gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }, SETTLED);
  timer.unref();
}
