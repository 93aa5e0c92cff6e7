import { invalid, type SlipwayError } from '#errors/errors.ts';
import type { Bundle } from './bundle.ts';

/** The words around the runtime's own that clients of the Engine API know; the CLI derives its exit code from them. */
const WRAPPINGS = {
  create: (message: string) =>
    `failed to create task for container: failed to create shim task: OCI runtime create failed: ${message}: unknown`,
  start: (message: string) =>
    `failed to start task for container: OCI runtime start failed: ${message}: unknown`,
  exec: (message: string) => `OCI runtime exec failed: ${message}: unknown`,
};

export type RuntimeStep = keyof typeof WRAPPINGS;

/** Why the runtime refused, from its log; else from what the monitor heard on stderr, or printed itself. */
export async function runtimeError(step: RuntimeStep, bundle: Bundle, heard: string): Promise<SlipwayError> {
  const logged = lastError((await bundle.read('oci.log')) ?? '');
  const monitor = (await bundle.read('conmon.log'))?.trim();
  const message = logged ?? (heard.trim() || monitor || 'the runtime ended without a word');
  return invalid(WRAPPINGS[step](message));
}

/** The last error of a log of JSON lines; a torn line is no reason to hide the others. */
export function lastError(log: string): string | undefined {
  for (const line of log.split('\n').toReversed()) {
    try {
      const { level, msg } = JSON.parse(line);
      if ((level === 'error' || level === 'fatal') && typeof msg === 'string') return msg;
    } catch {
      // Not a whole line.
    }
  }
  return undefined;
}
