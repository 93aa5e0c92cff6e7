import { setTimeout as sleep } from 'node:timers/promises';
import type { JobState } from './job.ts';
import { FINISHED } from './job.ts';
import type { JobLogs } from './job-logs.ts';

/** In milliseconds, between two looks at the log of a job that runs. */
const LOOK = 150;

/** A log from the byte `from` on; with `follow`, until the job is over. */
export async function* followLog(
  { logs, stateOf }: { logs: JobLogs; stateOf: (id: string) => Promise<JobState> },
  id: string,
  { from, follow, signal }: { from: number; follow: boolean; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  for (let at = from; ; ) {
    // Whatever it has written was there before it was over.
    const state = await stateOf(id);
    for await (const bytes of logs.read(id, at)) {
      yield bytes;
      at += bytes.length;
    }
    if (!follow || FINISHED.includes(state)) return;
    await sleep(LOOK, undefined, { signal });
  }
}
