import { posix } from 'node:path';
import { cleanPath } from '../context/clean-path.ts';

/** As Go's `path.Join`. */
export function joinPath(...parts: readonly string[]): string {
  return cleanPath(posix.join(...parts));
}

/** Absolute and clean, but with the `/` or `/.` at its end that say that it is a directory. */
export function directoryAwarePath(parent: string, path: string): string {
  const whole = cleanPath(path.startsWith('/') ? path : posix.join('/', parent, path || '.'));
  if (path === '' || path === '.' || path.endsWith('/')) return whole.endsWith('/') ? whole : `${whole}/`;
  if (path.endsWith('/.')) return whole === '/' ? '/.' : `${whole}/.`;
  return whole;
}
