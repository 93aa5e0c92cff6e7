import type { Readable } from 'node:stream';

export interface DropLimits {
  /** More than so many bytes destroy the stream. */
  readonly bytes: number;
  /** Longer than so many milliseconds too. */
  readonly ms: number;
}

/** Reads a stream that nobody wants any more to its end, within limits. Errors of the stream are nobody's either. */
export function dropRest(stream: Readable, limits: DropLimits): void {
  let left = limits.bytes;
  const giveUp = setTimeout(() => stream.destroy(), limits.ms);
  giveUp.unref();
  stream.on('data', (chunk: Uint8Array) => {
    left -= chunk.length;
    if (left < 0) stream.destroy();
  });
  stream.once('close', () => clearTimeout(giveUp));
  stream.on('error', () => {});
  stream.resume();
}
