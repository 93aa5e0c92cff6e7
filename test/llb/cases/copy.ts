import { copy, exec, file, ids, mkdir, mkfile, names, source, symlink } from '../graph.ts';
import type { LlbCase } from '../llb-case.ts';

const scratch = undefined;

/** Something of everything. */
const tree = () =>
  file(
    scratch,
    mkdir('/dir', { mode: 0o750, owner: ids(1, 2) }),
    mkfile('/dir/a.txt', 'a', { mode: 0o604, owner: ids(3, 4) }),
    mkfile('/dir/b.md', 'b', { mode: 0o755 }),
    mkdir('/dir/sub', { mode: 0o700 }),
    mkfile('/dir/sub/c.txt', 'c'),
    mkfile('/dir/sub/d.md', 'd'),
    symlink('a.txt', '/dir/link'),
    symlink('sub', '/dir/to-sub'),
    mkfile('/top', 'top'),
    symlink('/dir', '/to-dir'),
    symlink('/top', '/to-top'),
  );

const one = (name: string, src: string, dest: string, options: Parameters<typeof copy>[3] = {}): LlbCase => ({
  name: `copy/${name}`,
  graph: () => file(scratch, copy(tree(), src, dest, options)),
});

const onto = (
  name: string,
  src: string,
  dest: string,
  options: Parameters<typeof copy>[3] = {},
): LlbCase => ({
  name: `copy/${name}`,
  graph: () =>
    file(
      file(
        scratch,
        mkdir('/there', { mode: 0o777, owner: ids(8, 9) }),
        mkfile('/there/a.txt', 'old', { mode: 0o600 }),
        mkfile('/there/mine', 'mine'),
        mkdir('/there/sub', { mode: 0o711 }),
        mkfile('/there/sub/kept', 'kept'),
        symlink('/there', '/link'),
        mkfile('/file', 'file'),
      ),
      copy(tree(), src, dest, options),
    ),
});

const failing = (made: LlbCase, fails: string): LlbCase => ({ ...made, fails });

export const copyCases: readonly LlbCase[] = [
  one('file', '/top', '/x'),
  one('file-into-directory', '/top', '/x/', { createDestPath: true }),
  failing(one('no-parent', '/top', '/x/y'), 'no such file'),
  one('creates-parents', '/dir/a.txt', '/x/y/z', { createDestPath: true, owner: ids(6, 7) }),
  one('directory', '/dir', '/x'),
  one('directory-contents', '/dir', '/x', { dirCopyContents: true }),
  one('directory-contents-created', '/dir', '/x/y', { dirCopyContents: true, createDestPath: true }),
  one('root', '/', '/', { dirCopyContents: true }),
  one('root-into', '/', '/x', { dirCopyContents: true, createDestPath: true }),
  one('link', '/to-top', '/x'),
  one('link-followed', '/to-top', '/x', { followSymlink: true }),
  one('link-to-directory', '/to-dir', '/x'),
  one('link-to-directory-followed', '/to-dir', '/x', { followSymlink: true, dirCopyContents: true }),
  one('through-link', '/to-dir/a.txt', '/x'),
  one('wildcard', '/dir/*.txt', '/', { allowWildcard: true }),
  one('wildcard-directories', '/dir/s*', '/x/', { allowWildcard: true, createDestPath: true }),
  one('wildcard-all', '/dir/*', '/', { allowWildcard: true, dirCopyContents: true }),
  failing(one('wildcard-nothing', '/dir/*.zip', '/', { allowWildcard: true }), 'not found'),
  one('wildcard-nothing-allowed', '/dir/*.zip', '/', { allowWildcard: true, allowEmptyWildcard: true }),
  failing(one('star-without-wildcard', '/dir/*.txt', '/'), '"/dir/*.txt": not found'),
  failing(one('missing', '/none', '/x'), 'not found'),
  failing(one('missing-of-empty', '/none', '/x', { allowEmptyWildcard: true }), 'not found'),
  one('mode', '/dir', '/x', { dirCopyContents: true, mode: 0o640 }),
  one('mode-words', '/dir', '/x', { dirCopyContents: true, modeStr: 'u=rwX,g+w,o-rwx' }),
  {
    ...one('mode-octal-words', '/dir', '/x', { dirCopyContents: true, modeStr: '0751' }),
    differs: 'no client writes octal digits as words; here the directory itself has that mode, too',
  },
  failing(one('mode-nonsense', '/top', '/x', { modeStr: 'u=q' }), 'invalid syntax'),
  one('owner', '/dir', '/x', { dirCopyContents: true, owner: ids(21, 22) }),
  one('timestamp', '/dir', '/x', { dirCopyContents: true, timestamp: 1_111_111_111_000_000_000n }),
  { ...one('times-kept', '/dir', '/x', { dirCopyContents: true, timestamp: 0n }), times: true },
  one('include', '/dir', '/x', { dirCopyContents: true, createDestPath: true, includePatterns: ['*.txt'] }),
  one('include-deep', '/dir', '/x', { dirCopyContents: true, includePatterns: ['**/*.txt'] }),
  one('include-directory', '/dir', '/x', { dirCopyContents: true, includePatterns: ['sub'] }),
  one('include-nothing', '/dir', '/x', { dirCopyContents: true, includePatterns: ['zzz'] }),
  one('include-below', '/', '/x', { dirCopyContents: true, includePatterns: ['dir/sub/c.txt'] }),
  one('exclude', '/dir', '/x', { dirCopyContents: true, excludePatterns: ['*.md'] }),
  one('exclude-deep', '/dir', '/x', { dirCopyContents: true, excludePatterns: ['**/*.md'] }),
  one('exclude-directory', '/dir', '/x', { dirCopyContents: true, excludePatterns: ['sub'] }),
  one('exclude-but', '/dir', '/x', { dirCopyContents: true, excludePatterns: ['sub', '!sub/d.md'] }),
  one('include-and-exclude', '/dir', '/x', {
    dirCopyContents: true,
    includePatterns: ['**/*.txt', 'b.md'],
    excludePatterns: ['sub'],
  }),
  one('wildcard-exclude', '/dir/*', '/', {
    allowWildcard: true,
    dirCopyContents: true,
    excludePatterns: ['d.md', 'a.txt'],
  }),
  one('required-there', '/', '/x', {
    dirCopyContents: true,
    includePatterns: ['dir/sub/c.txt'],
    requiredPaths: ['/dir/sub/c.txt'],
  }),
  {
    ...failing(
      one('required-missing', '/', '/x', {
        dirCopyContents: true,
        includePatterns: ['dir/none'],
        requiredPaths: ['/dir/none'],
      }),
      '"/dir/none": not found',
    ),
    differs: 'BuildKit 0.25 does not know required paths yet',
  },
  onto('onto-file', '/top', '/file'),
  onto('onto-directory', '/top', '/there'),
  onto('onto-link', '/top', '/link'),
  onto('onto-link-slash', '/top', '/link/'),
  onto('merges', '/dir', '/there', { dirCopyContents: true }),
  onto('merges-directory-itself', '/dir', '/there/'),
  onto('replaces', '/dir', '/there', { dirCopyContents: true, alwaysReplaceExistingDestPaths: true }),
  failing(onto('directory-onto-file', '/dir', '/file', { dirCopyContents: true }), 'directory'),
  onto('directory-replaces-file', '/dir', '/file', {
    dirCopyContents: true,
    alwaysReplaceExistingDestPaths: true,
  }),
  onto('file-into-there', '/top', '/there/sub', { createDestPath: true }),
  {
    name: 'copy/names-of-the-target',
    graph: ({ busybox }) => file(busybox, copy(tree(), '/top', '/x', { owner: names('nobody', 'nobody') })),
  },
  {
    name: 'copy/hard-links',
    graph: ({ busybox }) => {
      const linked = exec(busybox, 'mkdir /d; echo x > /d/a; ln /d/a /d/b; ln /d/a /d/c');
      return file(scratch, copy(linked, '/d', '/x', { dirCopyContents: true }));
    },
  },
  {
    name: 'copy/devices-and-pipes',
    differs: 'BuildKit makes character devices of block devices',
    graph: ({ busybox }) => {
      const made = exec(busybox, 'mkdir /d; mkfifo /d/pipe; mknod /d/null c 1 3; mknod /d/disk b 7 300');
      return file(scratch, copy(made, '/d', '/x', { dirCopyContents: true }));
    },
  },
  {
    name: 'copy/odd-names',
    graph: ({ busybox }) => {
      const made = exec(
        busybox,
        "mkdir /d; cd /d; echo 1 > 'a b'; echo 2 > 'ü'; echo 3 > \"q'\"; echo 4 > '[x]'",
      );
      return file(scratch, copy(made, '/d', '/x', { dirCopyContents: true }));
    },
  },
  {
    name: 'copy/unpack',
    graph: ({ busybox }) => {
      const packed = exec(
        busybox,
        'mkdir -p /d/e; echo x > /d/e/f; tar -C /d -cf /x.tar .; gzip -c /x.tar > /y.tgz',
      );
      const unpack = { attemptUnpackDockerCompatibility: true };
      return file(
        scratch,
        mkdir('/out'),
        mkdir('/zip'),
        copy(packed, '/x.tar', '/out/', unpack),
        copy(packed, '/y.tgz', '/zip/', unpack),
        copy(packed, '/d/e/f', '/plain', unpack),
      );
    },
  },
  {
    name: 'copy/unpack-owner',
    graph: ({ busybox }) => {
      const packed = exec(
        busybox,
        'mkdir /d; echo x > /d/f; chown 5:6 /d/f; chmod 600 /d/f; tar -C /d -cf /x.tar f',
      );
      const unpack = { attemptUnpackDockerCompatibility: true, owner: ids(11, 12) };
      return file(scratch, mkdir('/out'), copy(packed, '/x.tar', '/out/', unpack));
    },
  },
  {
    name: 'copy/of-a-client',
    locals: { context: { a: 'a', 'd/b': 'b', link: '-> a' } },
    graph: () =>
      file(
        scratch,
        copy(source('local://context'), '/', '/x', { dirCopyContents: true, createDestPath: true }),
      ),
  },
];
