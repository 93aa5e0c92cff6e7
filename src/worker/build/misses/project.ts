import { createHash } from 'node:crypto';
import type { BuildSession } from '../session/build-session.ts';

type Options = Readonly<Record<string, string>>;

const ARGUMENT = 'build-arg:';

/** What tells a Dockerfile and its context apart from others: where the context is from, as well as that is known. */
export function projectOf(options: Options, { sharedKey }: Pick<BuildSession, 'sharedKey'>): string {
  // A repository is the same wherever it is checked out.
  const source = options.context ?? options['vcs:source'] ?? sharedKey ?? '';
  const place = [options.filename ?? '', options['vcs:localdir:context'] ?? '', source];
  return createHash('sha256').update(JSON.stringify(place)).digest('hex');
}

/** The names of the build arguments that a client has given. */
export function argumentsOf(options: Options): ReadonlySet<string> {
  const names = Object.keys(options).filter((name) => name.startsWith(ARGUMENT));
  return new Set(names.map((name) => name.slice(ARGUMENT.length)));
}
