import { constants } from 'node:os';
import { invalid } from '#errors/errors.ts';

const RTMIN = 34;
const RTMAX = 64;

/** A signal by number or name, with or without `SIG`, real-time ones included. Throws `invalid`. */
export function parseSignal(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : signalByName(text.toUpperCase().replace(/^SIG/, ''));
  if (number === undefined || number <= 0 || number > RTMAX) throw invalid(`invalid signal: ${text}`);
  return number;
}

function signalByName(name: string): number | undefined {
  if (name === 'CLD') return constants.signals.SIGCHLD;
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realtime) {
    const base = realtime[1] === 'MIN' ? RTMIN : RTMAX;
    const offset = Number(realtime[3] ?? 0) * (realtime[2] === '-' ? -1 : 1);
    const number = base + offset;
    return number >= RTMIN && number <= RTMAX ? number : undefined;
  }
  return constants.signals[`SIG${name}` as keyof typeof constants.signals];
}
