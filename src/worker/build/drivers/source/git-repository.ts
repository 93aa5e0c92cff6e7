import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock } from '#async/keyed-lock.ts';
import { invalid, messageOf, notFound, tooLarge, unavailable } from '#errors/errors.ts';
import { setPathTimes } from '#worker/snapshots/libc.ts';
import type { GitMeta } from '../../policy/source-meta.ts';
import { GitMirrors, removeUnfinished } from './git-mirrors.ts';
import type { GitProgram } from './git-program.ts';
import { type GitRequest, isCommit } from './git-remote.ts';

export interface ResolvedCommit {
  readonly commit: string;
  /** Full (`refs/heads/main`), or the commit where it was asked for by that. */
  readonly ref: string;
  /** The object that a tag is, where it is one of its own. */
  readonly tag?: string;
}

export interface GitLimits {
  /** Of a work tree, without those of its submodules. */
  readonly maxBytes: number;
  readonly maxEntries: number;
  /** Of all mirrors; beyond it the least recently used go. */
  readonly keepBytes: number;
}

/**
 * Bare repositories of what was fetched, one a remote, in which later builds find most of what they want:
 *
 *     git/<hash of the remote>   the mirror
 *     checkouts/<random>         work trees of running builds
 */
export class GitRepositories {
  readonly #root: string;
  readonly #limits: GitLimits;
  readonly #mirrors: GitMirrors;
  readonly #locks = new KeyedLock();

  constructor(root: string, limits: GitLimits) {
    this.#root = root;
    this.#limits = limits;
    this.#mirrors = new GitMirrors(join(root, 'git'), { locks: this.#locks, keepBytes: limits.keepBytes });
  }

  /** Removes what a killed worker had begun to fetch. Call once at start. */
  async reconcile(): Promise<void> {
    await removeUnfinished(join(this.#root, 'git'));
  }

  /** What a ref stands for now. Throws `not-found`, `invalid` (another commit than asked for), `unavailable`. */
  async resolve(git: GitProgram, request: GitRequest): Promise<ResolvedCommit> {
    const { ref, checksum } = request;
    if (request.fetchByCommit) return { commit: checksum, ref: fullRef(ref) || checksum };
    const resolved: ResolvedCommit = isCommit(ref) ? { commit: ref, ref } : await this.#ask(git, request);
    // A tag that says something is an object of its own, which names its commit.
    if (!resolved.commit.startsWith(checksum) && !resolved.tag?.startsWith(checksum)) {
      throw invalid(`expected checksum to match ${checksum}, got ${resolved.commit}`);
    }
    return resolved;
  }

  /** The commit, and the tag if it is an object of its own, as git has them: what signatures are of. */
  async objects(
    git: GitProgram,
    request: GitRequest,
    resolved: ResolvedCommit,
  ): Promise<Omit<GitMeta, 'ref'>> {
    const gitDir = this.#mirrorOf(request, resolved.commit);
    return this.#locks.run(gitDir, async () => {
      await using unfinished = new AsyncDisposableStack();
      unfinished.defer(() => removeUnfinished(gitDir));
      await this.#fetch(git, request, { mirror: gitDir, ...resolved });
      const read = async (kind: 'commit' | 'tag', name: string) =>
        Buffer.from(await git.run(['cat-file', kind, name], { gitDir }));
      const commitObject = await read('commit', resolved.commit);
      const { commit, ref, tag } = resolved;
      if (tag === undefined) return { checksum: commit, commitObject };
      const has = () => git.test(['cat-file', '-e', tag], { gitDir });
      if (!(await has())) {
        const args = ['fetch', '--quiet', '--depth=1', '--no-tags', '--force', '--', request.remote];
        const named = [`+${ref}:refs/slipway/${hash(ref)}`];
        const done = await unlessWhole(git.run([...args, ...named], { gitDir }));
        if (!done) await git.run([...args.filter((arg) => arg !== '--depth=1'), ...named], { gitDir });
      }
      unfinished.move();
      const tagObject = await read('tag', tag);
      return { checksum: tag, commitChecksum: commit, commitObject, tagObject };
    });
  }

  /** A work tree of its own, which goes when it is disposed of. `fetched`: it was not in the mirror before. */
  async checkout(
    git: GitProgram,
    request: GitRequest,
    { commit, ref }: ResolvedCommit,
  ): Promise<{ readonly root: string; readonly fetched: boolean } & AsyncDisposable> {
    const mirror = this.#mirrorOf(request, commit);
    const place = join(this.#root, 'checkouts', randomBytes(8).toString('hex'));
    const remove = async () => {
      await rm(place, { recursive: true, force: true });
      await this.#mirrors.trim();
    };
    const tree = join(place, 'tree');
    await mkdir(tree, { recursive: true, mode: 0o755 });
    try {
      const fetched = await this.#locks.run(mirror, async () => {
        await using unfinished = new AsyncDisposableStack();
        unfinished.defer(() => removeUnfinished(mirror));
        const fetching = await this.#fetch(git, request, { mirror, commit, ref });
        await utimes(mirror, new Date(), new Date());
        await this.#measure(git, { gitDir: mirror, commit });
        const gitDir = request.keepGitDir && request.subdir === '' ? join(tree, '.git') : mirror;
        if (gitDir === mirror) {
          const options = { gitDir, workTree: tree, index: join(place, 'index') };
          await git.run(['checkout', '--no-overlay', '--force', commit, '--', '.'], options);
        } else {
          await this.#clone(git, request, { mirror, tree, gitDir, commit, ref });
        }
        await this.#submodules(git, request, { gitDir, tree });
        if (request.commitTimes) await this.#setTimes(git, { gitDir, tree, commit });
        unfinished.move();
        return fetching;
      });
      return { root: await subdirectory(tree, request.subdir), fetched, [Symbol.asyncDispose]: remove };
    } catch (error) {
      await remove();
      throw error;
    }
  }

  #mirrorOf({ remote }: GitRequest, commit: string): string {
    return join(this.#root, 'git', `${hash(remote)}${isLong(commit) ? '-sha256' : ''}`);
  }

  async #ask(git: GitProgram, { remote, ref }: GitRequest): Promise<ResolvedCommit> {
    const wanted = ref === '' ? ['HEAD'] : [ref, `${ref}^{}`];
    const output = await git.run(['ls-remote', '--symref', '--', remote, ...wanted]);
    const found = new Map<string, string>();
    for (const line of output.split('\n')) {
      const [value = '', name = ''] = line.split('\t');
      if (name) found.set(value.startsWith('ref: ') ? `symref ${name}` : name, value.replace(/^ref: /, ''));
    }
    if (ref === '') {
      const commit = found.get('HEAD');
      if (!commit) throw notFound(`could not find default branch for repository: ${remote}`);
      return { commit, ref: found.get('symref HEAD') ?? commit };
    }
    const names = [
      `refs/${ref.replace(/^refs\//, '')}`,
      `refs/heads/${ref.replace(/^refs\/heads\//, '')}`,
      `refs/tags/${ref.replace(/^refs\/tags\//, '')}`,
    ];
    const name = names.find((candidate) => found.has(candidate));
    if (!name) throw notFound(`repository does not contain ref ${ref}, output: ${JSON.stringify(output)}`);
    const object = found.get(name)!;
    const commit = found.get(`${name}^{}`);
    return commit === undefined ? { commit: object, ref: name } : { commit, ref: name, tag: object };
  }

  /** Answers false when it is there already. */
  async #fetch(
    git: GitProgram,
    { remote }: GitRequest,
    { mirror, commit, ref }: { mirror: string; commit: string; ref: string },
  ): Promise<boolean> {
    const gitDir = mirror;
    if (!(await git.test(['rev-parse', '--git-dir'], { gitDir }))) {
      await rm(mirror, { recursive: true, force: true });
      await mkdir(join(this.#root, 'git'), { recursive: true, mode: 0o700 });
      await rm(`${mirror}.new`, { recursive: true, force: true });
      await git.run(['init', '--bare', '--quiet', ...formatOf(commit), `${mirror}.new`]);
      await rename(`${mirror}.new`, mirror);
      await git.run(['config', 'remote.origin.url', remote], { gitDir });
    }
    const has = () => git.test(['cat-file', '-e', `${commit}^{commit}`], { gitDir });
    if (await has()) return false;
    const quick = ['fetch', '--quiet', '--depth=1', '--no-tags', '--force', '--', remote];
    // Nearly every server gives a commit by its name; to others the ref has to be named.
    if (await git.test([...quick, commit], { gitDir })) return true;
    if (!isCommit(ref)) {
      await unlessWhole(git.run([...quick, `+${ref}:refs/slipway/${hash(ref)}`], { gitDir }));
    }
    if (await has()) return true;
    const shallow = await git.run(['rev-parse', '--is-shallow-repository'], { gitDir });
    const whole = shallow.trim() === 'true' ? ['--unshallow'] : [];
    const everything = ['+refs/heads/*:refs/slipway/heads/*', '+refs/tags/*:refs/slipway/tags/*'];
    await git.run(['fetch', '--quiet', ...whole, '--force', '--', remote, ...everything], { gitDir });
    if (!(await has())) throw unavailable(`the repository ${remote} does not contain commit ${commit}`);
    return true;
  }

  /** Before it is written: a few kilobytes can name the same tree again and again. Throws `too-large`. */
  async #measure(git: GitProgram, { gitDir, commit }: { gitDir: string; commit: string }): Promise<void> {
    const { maxBytes, maxEntries } = this.#limits;
    let entries = 0;
    let bytes = 0;
    let rest = '';
    const hear = (text: string) => {
      const sizes = (rest + text).split('\n');
      rest = sizes.pop() ?? '';
      entries += sizes.length;
      for (const size of sizes) bytes += Number(size) || 0;
      if (entries > maxEntries) throw tooLarge(`the repository has more than ${maxEntries} files`);
      if (bytes > maxBytes) throw tooLarge(`the repository's files have more than ${maxBytes} bytes`);
    };
    await git.run(['ls-tree', '-r', '--format=%(objectsize)', commit], { gitDir, hear });
  }

  /** A repository of its own, for those who want to ask it. */
  async #clone(
    git: GitProgram,
    { remote }: GitRequest,
    at: { mirror: string; tree: string; gitDir: string; commit: string; ref: string },
  ): Promise<void> {
    const { mirror, tree: workTree, gitDir, commit, ref } = at;
    const own = { gitDir, workTree };
    await git.run(['init', '--quiet', ...formatOf(commit), workTree]);
    await git.run(['remote', 'add', 'origin', withoutCredentials(remote)], own);
    // Objects are transferred, never linked to.
    const held = `refs/slipway/commits/${commit}`;
    await git.run(['update-ref', held, commit], { gitDir: mirror });
    const target = isCommit(ref) ? held : `${held}:${ref}`;
    const quick = ['fetch', '--quiet', '--update-head-ok', '--depth=1', '--no-tags'];
    await git.run([...quick, '--', `file://${mirror}`, target], { ...own, local: true });
    await git.run(['checkout', '--quiet', '--force', 'FETCH_HEAD'], own);
    await git.run(['reflog', 'expire', '--all', '--expire=now'], own);
    await rm(join(gitDir, 'FETCH_HEAD'), { force: true });
  }

  async #submodules(
    git: GitProgram,
    { submodules, keepGitDir }: GitRequest,
    { gitDir, tree }: { gitDir: string; tree: string },
  ): Promise<void> {
    const declared = await lstat(join(tree, '.gitmodules')).catch(() => undefined);
    if (!submodules || !declared?.isFile()) return;
    const own = gitDir.startsWith(`${tree}/`) ? {} : { index: join(tree, '..', 'index') };
    const args = ['submodule', 'update', '--init', '--checkout', '--recursive'];
    const options = { gitDir, workTree: tree, ...own };
    const done = await unlessWhole(git.run([...args, '--depth=1'], options));
    if (!done) await git.run(args, options);
    // They lead to the mirror, which no build has.
    if (!keepGitDir) await removeGitFiles(tree);
  }

  async #setTimes(
    git: GitProgram,
    { gitDir, tree, commit }: { gitDir: string; tree: string; commit: string },
  ): Promise<void> {
    const time = Number(await git.run(['log', '-1', '--format=%ct', commit], { gitDir }));
    for (const entry of await readdir(tree, { recursive: true, withFileTypes: true })) {
      setPathTimes(join(entry.parentPath, entry.name), time, 0);
    }
    setPathTimes(tree, time, 0);
  }
}

/** Answers false when the server, which knows nothing of git, gives all of a repository or nothing. */
async function unlessWhole(asking: Promise<unknown>): Promise<boolean> {
  try {
    await asking;
    return true;
  } catch (error) {
    if (messageOf(error).includes('dumb http transport')) return false;
    throw error;
  }
}

/** What has no full name is a branch, as git has it. */
function fullRef(ref: string): string {
  return ref === '' || ref.startsWith('refs/') ? ref : `refs/heads/${ref}`;
}

function isLong(commit: string): boolean {
  return commit.length === 64;
}

function formatOf(commit: string): string[] {
  return isLong(commit) ? ['--object-format=sha256'] : [];
}

/** Throws `invalid` where a part of it is no directory: a link could lead anywhere. */
async function subdirectory(tree: string, subdir: string): Promise<string> {
  let path = tree;
  for (const part of subdir.split('/').filter(Boolean)) {
    path = join(path, part);
    const stats = await lstat(path).catch(() => undefined);
    if (!stats?.isDirectory()) throw invalid(`invalid subdir ${subdir}: ${part} is no directory`);
  }
  return path;
}

async function removeGitFiles(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.name === '.git' && entry.isFile()) await rm(path);
    else if (entry.isDirectory() && entry.name !== '.git') await removeGitFiles(path);
  }
}

function withoutCredentials(remote: string): string {
  return remote.replace(/^([a-z]+:\/\/)[^/@]*@/, '$1');
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
