import { invalid } from '#errors/errors.ts';

const MAX_PATH_BYTES = 4_096;
const MAX_NAME_BYTES = 255;

/** Names in the order of their UTF-8 bytes, in which directories are listed. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const difference = rank(a.charCodeAt(at)) - rank(b.charCodeAt(at));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Paths in the order of a walk: what is in a directory follows it, before its siblings. */
export function comparePaths(a: string, b: string): number {
  const left = a.split('/');
  const right = b.split('/');
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at++) {
    const difference = compareNames(left[at]!, right[at]!);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** The names of a relative path. Throws `invalid` for one that is not as a walk would give it. */
export function splitPath(path: string): string[] {
  const names = path.split('/');
  const good = Buffer.byteLength(path) < MAX_PATH_BYTES && names.every(isName);
  if (!good) throw invalid(`invalid path in the file list: ${JSON.stringify(path.slice(0, 200))}`);
  return names;
}

function isName(name: string): boolean {
  return (
    name !== '' &&
    name !== '.' &&
    name !== '..' &&
    !name.includes('\0') &&
    (name.length <= MAX_NAME_BYTES / 4 || Buffer.byteLength(name) <= MAX_NAME_BYTES)
  );
}

/** Surrogates are above all else in UTF-8 (as the characters that they make), and not so in UTF-16. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
