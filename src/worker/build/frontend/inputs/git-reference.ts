import { posix } from 'node:path';
import { invalid } from '#errors/errors.ts';

/** A repository, and which of its files: what `https://host/name.git#ref:subdir` and its like say. */
export interface GitReference {
  /** For git itself: without fragment and query. */
  readonly remote: string;
  /** With its port. */
  readonly host: string;
  /** Begins with a slash. */
  readonly path: string;
  readonly ssh: boolean;
  /** Branch, tag or commit. */
  readonly ref?: string;
  readonly subdir?: string;
  /** The commit that it has to be, or the beginning of its name. */
  readonly checksum?: string;
  readonly keepGitDir?: boolean;
  readonly submodules?: boolean;
  readonly mtime?: 'checkout' | 'commit';
  readonly fetchByCommit?: boolean;
  /** `github.com/…`: in an ADD it could as well be a path. */
  readonly likePath: boolean;
}

const SCP_STYLE = /^([a-zA-Z0-9_-]+)@([a-zA-Z0-9.-]+):(.*?)(?:\?(.*?))?(?:#(.*))?$/;
const SCHEME = /^(https?|ssh|git):\/\//i;

/** Reads what may mean a git repository; undefined when it does not. Throws `invalid` for one that makes no sense. */
export function readGitReference(text: string): GitReference | undefined {
  if (text.startsWith('./') || text.startsWith('../')) return undefined;
  if (text.startsWith('github.com/')) return fromUrl(`https://${text}`, true);
  if (SCHEME.test(text)) return fromUrl(text, false);
  const scp = SCP_STYLE.exec(text);
  if (!scp) return undefined;
  const [, user, host = '', path = '', query, fragment] = scp;
  return {
    remote: `${user}@${host}:${path}`,
    host,
    path: posix.join('/', path),
    ssh: true,
    likePath: false,
    ...selection(fragment ?? '', new URLSearchParams(query ?? '')),
  };
}

function fromUrl(text: string, likePath: boolean): GitReference | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  const path = decoded(url.pathname);
  // Any other document may be there too.
  if (/^https?:$/.test(url.protocol) && !likePath && !path.endsWith('.git')) return undefined;
  const { hash, searchParams } = url;
  const bare = text.replace(/[?#].*$/s, '');
  return {
    remote: bare,
    host: url.host,
    path: posix.join('/', path),
    ssh: url.protocol === 'ssh:',
    likePath,
    ...selection(decoded(hash.slice(1)), searchParams),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

type Selection = Omit<GitReference, 'remote' | 'host' | 'path' | 'ssh' | 'likePath'>;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** `#ref:subdir` and the query, which may say more. */
function selection(fragment: string, query: URLSearchParams): Selection {
  const colon = fragment.indexOf(':');
  const subdir = colon < 0 ? '' : posix.join('/', fragment.slice(colon + 1)).slice(1);
  const ref = colon < 0 ? fragment : fragment.slice(0, colon);
  const result: Mutable<Selection> = { ...(ref && { ref }), ...(subdir && { subdir }) };
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name);
    if (values.length > 1) throw invalid(`query ${JSON.stringify(name)} has multiple values`);
    applyQuery(result, name, values[0]!);
  }
  applyNamedRef(result, query);
  return result;
}

const FLAGS: readonly string[] = ['submodules', 'keep-git-dir', 'fetch-by-commit'];

function applyQuery(result: Mutable<Selection>, name: string, value: string): void {
  if (value === '' && !FLAGS.includes(name)) throw invalid(`query ${JSON.stringify(name)} has no value`);
  switch (name) {
    case 'ref':
      result.ref = agreed('ref', result.ref, value);
      return;
    case 'subdir':
      result.subdir = agreed('subdir', result.subdir, value);
      return;
    case 'checksum':
    case 'commit':
      result.checksum = value;
      return;
    case 'keep-git-dir':
      result.keepGitDir = boolean(name, value);
      return;
    case 'submodules':
      result.submodules = boolean(name, value);
      return;
    case 'fetch-by-commit':
      result.fetchByCommit = boolean(name, value);
      return;
    case 'mtime':
      if (value !== 'checkout' && value !== 'commit') {
        throw invalid(`invalid mtime value: ${JSON.stringify(value)} (must be "checkout" or "commit")`);
      }
      result.mtime = value;
      return;
    case 'tag':
    case 'branch':
      return;
    default:
      throw invalid(`unexpected query ${JSON.stringify(name)}`);
  }
}

function applyNamedRef(result: Mutable<Selection>, query: URLSearchParams): void {
  const tag = query.get('tag');
  const branch = query.get('branch');
  if (tag && branch) throw invalid('branch conflicts with tag');
  if (tag) result.ref = agreed('ref', result.ref, prefixed('refs/tags/', tag));
  if (branch) result.ref = agreed('ref', result.ref, prefixed('refs/heads/', branch));
}

function prefixed(prefix: string, name: string): string {
  return name.startsWith(prefix) ? name : prefix + name;
}

function agreed(what: string, before: string | undefined, now: string): string {
  if (before !== undefined && before !== now) {
    throw invalid(`${what} conflicts: ${JSON.stringify(before)} vs ${JSON.stringify(now)}`);
  }
  return now;
}

function boolean(name: string, value: string): boolean {
  if (value === '' || /^(?:1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  throw invalid(`invalid ${name} value: ${JSON.stringify(value)}`);
}
