import { invalid } from '#errors/errors.ts';

/** As many as the kernel follows (path_resolution(7)). */
const MAX_SYMLINKS = 40;

/** What a path is, on its way: a symbolic link, something to go on from, or undefined where the way ends. */
export type Step = { readonly target: string } | 'here' | undefined;

/**
 * The path that a path stands for when every symbolic link on the way is followed within a root, as by a process that is
 * chrooted into it; `..` stops at the root. All are relative to it: `a/b`, '' for itself. `look` says what is at a path
 * whose parents are no links. Undefined when it ends the way. Throws `invalid` for links without end.
 */
export function walkRooted(path: string, look: (path: string, isLast: boolean) => Step): string | undefined {
  const pending = partsOf(path).reverse();
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop()!;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    const step = look([...resolved, part].join('/'), pending.length === 0);
    if (step === undefined) return undefined;
    if (step === 'here') {
      resolved.push(part);
      continue;
    }
    if (++links > MAX_SYMLINKS) throw invalid(`too many levels of symbolic links: ${path}`);
    if (step.target.startsWith('/')) resolved.length = 0;
    pending.push(...partsOf(step.target).reverse());
  }
  return resolved.join('/');
}

/** `/a/../../b/` as `b`: a path that cannot leave the root it is for. */
export function withinRoot(path: string): string {
  const parts: string[] = [];
  for (const part of partsOf(path)) {
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}
