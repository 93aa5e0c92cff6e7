/** Bytes `start` to `end`, inclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads a Range header for content of `size` bytes (RFC 9110, 14.1.2 and 14.2). Undefined: there is none, or
 * none to be honoured, and the whole is sent. An empty list: nothing of it can be satisfied. Ends beyond the
 * content are clamped; ranges that cannot be satisfied are left out beside ones that can.
 */
export function parseByteRanges(header: string | undefined, size: number): ByteRange[] | undefined {
  const match = header === undefined ? null : /^bytes\s*=(.*)$/i.exec(header);
  if (!match) return undefined;
  const ranges: ByteRange[] = [];
  for (const text of match[1]!.split(',')) {
    const range = parseRange(text.trim(), size);
    if (range === 'malformed') return [];
    if (range) ranges.push(range);
  }
  return ranges;
}

function parseRange(text: string, size: number): ByteRange | 'malformed' | undefined {
  const match = /^(\d*)\s*-\s*(\d*)$/.exec(text);
  if (!match || (match[1] === '' && match[2] === '')) return 'malformed';
  if (match[1] === '') {
    const length = Math.min(Number(match[2]), size);
    return length === 0 ? undefined : { start: size - length, end: size - 1 };
  }
  const start = Number(match[1]);
  const end = match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (match[2] !== '' && Number(match[2]) < start) return 'malformed';
  return start < size ? { start, end } : undefined;
}
