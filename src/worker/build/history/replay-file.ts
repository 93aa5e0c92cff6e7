import { open } from 'node:fs/promises';
import type { ProgressSink } from '../solve/progress.ts';
import { decodeEvent, tell } from './build-events.ts';

/** Tells what a log that was kept says. A last line that is not whole, a killed worker's, is left out. */
export async function replayFile(
  path: string,
  sink: ProgressSink,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  await using file = await open(path);
  let rest = '';
  for await (const chunk of file.createReadStream({ encoding: 'utf8', autoClose: false, signal })) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) await tell(sink, decodeEvent(line));
  }
}
