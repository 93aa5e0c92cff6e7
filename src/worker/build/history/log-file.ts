import { open } from 'node:fs/promises';
import { LogParser, type ReadOptions, type ToldEvent } from './log-parser.ts';

/**
 * What a log that was kept says, from a place where an event begins. A last line that is not whole, a killed worker's, is
 * left out. Throws `invalid` for any other place.
 */
export async function* readLogFile(
  path: string,
  { from = 0, signal }: Omit<ReadOptions, 'follow'>,
): AsyncGenerator<ToldEvent> {
  await using file = await open(path);
  const parser = new LogParser(from);
  if (parser.start > (await file.stat()).size) throw parser.misplaced();
  const stream = file.createReadStream({ start: parser.start, autoClose: false, signal });
  for await (const chunk of stream) yield* parser.push(chunk as Buffer);
}
