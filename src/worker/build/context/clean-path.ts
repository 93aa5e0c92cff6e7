import { posix } from 'node:path';

/** As Go's `filepath.Clean`: the shortest path that means the same; `.` for none. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}
