import { describe, expect, test } from 'vitest';
import { readGitReference } from '#worker/build/frontend/inputs/git-reference.ts';

describe('what means a repository', () => {
  test.each([
    ['https://h/r.git', { remote: 'https://h/r.git', host: 'h', path: '/r.git', ssh: false }],
    [
      'https://u:p@h:8443/a/r.git#v1:sub/dir',
      { remote: 'https://u:p@h:8443/a/r.git', host: 'h:8443', ref: 'v1', subdir: 'sub/dir' },
    ],
    ['git@h:a/r.git#main', { remote: 'git@h:a/r.git', host: 'h', path: '/a/r.git', ssh: true, ref: 'main' }],
    ['ssh://git@h/r#:sub', { ssh: true, subdir: 'sub' }],
    ['git://h/r', { remote: 'git://h/r', ssh: false }],
    ['github.com/a/b', { remote: 'https://github.com/a/b', likePath: true }],
    ['https://h/r.git?tag=v1&subdir=d', { ref: 'refs/tags/v1', subdir: 'd' }],
    ['https://h/r.git?branch=refs/heads/x&keep-git-dir=1', { ref: 'refs/heads/x', keepGitDir: true }],
    [
      'https://h/r.git?checksum=abc&submodules=false&mtime=commit',
      { checksum: 'abc', submodules: false, mtime: 'commit' },
    ],
    ['https://h/r.git#main:../../etc', { ref: 'main', subdir: 'etc' }],
  ])('%s', (text, expected) => {
    expect(readGitReference(text)).toMatchObject(expected);
  });

  test.each(['https://h/file', './r.git', '../r.git', 'a/b.git', 'file', '', 'ftp://h/r.git', 'https://'])(
    '%j does not',
    (text) => {
      expect(readGitReference(text)).toBeUndefined();
    },
  );
});

test.each([
  ['https://h/r.git?ref=a&ref=b', 'query "ref" has multiple values'],
  ['https://h/r.git#a?', undefined],
  ['https://h/r.git?ref=b#a', 'ref conflicts: "a" vs "b"'],
  ['https://h/r.git?tag=a&branch=b', 'branch conflicts with tag'],
  ['https://h/r.git?ref', 'query "ref" has no value'],
  ['https://h/r.git?colour=red', 'unexpected query "colour"'],
  ['https://h/r.git?submodules=maybe', 'invalid submodules value: "maybe"'],
  ['https://h/r.git?mtime=now', 'invalid mtime value: "now"'],
])('%s makes no sense', (text, message) => {
  if (message === undefined) expect(readGitReference(text)?.ref).toBe('a?');
  else expect(() => readGitReference(text)).toThrow(message);
});
