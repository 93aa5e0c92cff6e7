import { fileURLToPath } from 'node:url';

/** The environment of a process whose clock is so many milliseconds ahead; a negative number is behind. */
export function wrongClock(ahead: number): Record<string, string> {
  const module = new URL('./wrong-clock-preload.ts', import.meta.url);
  return { NODE_OPTIONS: `--import=${fileURLToPath(module)}`, TEST_CLOCK_AHEAD: String(ahead) };
}
