import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Measure } from './measure.ts';

/** After a start, before anyone asked for anything but the version check. */
export const idleMemory: Measure = {
  name: 'memory (RSS) when idle',
  unit: 'MB',
  lessIsBetter: true,
  goal: { most: 100 },
  rounds: 1,
  run: async ({ pid }) => {
    await sleep(3_000);
    const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
    return Number(kilobytes) / 1024;
  },
};
