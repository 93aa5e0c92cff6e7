import { copy, file, ids, mkdir, mkfile, names, rm, symlink } from '../graph.ts';
import type { LlbCase } from '../llb-case.ts';

const scratch = undefined;

export const fileCases: readonly LlbCase[] = [
  { name: 'file/mkfile', graph: () => file(scratch, mkfile('/a', 'text', { mode: 0o640 })) },
  { name: 'file/mkfile-setuid', graph: () => file(scratch, mkfile('/a', '', { mode: 0o4755 })) },
  { name: 'file/mkfile-owner', graph: () => file(scratch, mkfile('/a', '', { owner: ids(12, 34) })) },
  {
    name: 'file/mkfile-owner-by-name',
    graph: ({ busybox }) => file(busybox, mkfile('/a', '', { owner: names('nobody', 'daemon') })),
  },
  {
    name: 'file/mkfile-user-alone',
    graph: ({ busybox }) => file(busybox, mkfile('/a', '', { owner: names('nobody') })),
  },
  {
    name: 'file/mkfile-unknown-name',
    graph: ({ busybox }) => file(busybox, mkfile('/a', '', { owner: names('nobody-here') })),
  },
  {
    name: 'file/mkfile-timestamp',
    times: true,
    graph: () => file(scratch, mkfile('/a', 'x', { timestamp: 1_234_567_890_000_000_000n })),
  },
  {
    name: 'file/mkfile-over',
    graph: () =>
      file(scratch, mkfile('/a', 'long text', { mode: 0o600 }), mkfile('/a', 'new', { mode: 0o644 })),
  },
  {
    name: 'file/mkfile-through-link',
    graph: () => file(scratch, mkdir('/dir'), symlink('/dir', '/link'), mkfile('/link/a', 'x')),
  },
  {
    name: 'file/mkfile-over-link',
    graph: () => file(scratch, mkfile('/a', 'a'), symlink('a', '/link'), mkfile('/link', 'b')),
  },
  { name: 'file/mkfile-no-parent', graph: () => file(scratch, mkfile('/dir/a', 'x')), fails: 'no such file' },
  {
    name: 'file/mkfile-over-directory',
    graph: () => file(scratch, mkdir('/a'), mkfile('/a', 'x')),
    fails: 'open /a: is a directory',
  },
  { name: 'file/mkdir', graph: () => file(scratch, mkdir('/a', { mode: 0o1777 })) },
  {
    name: 'file/mkdir-parents',
    graph: () => file(scratch, mkdir('/a/b/c', { mode: 0o700, makeParents: true, owner: ids(5, 6) })),
  },
  { name: 'file/mkdir-no-parent', graph: () => file(scratch, mkdir('/a/b')), fails: 'no such file' },
  {
    name: 'file/mkdir-there',
    graph: () => file(scratch, mkdir('/a', { mode: 0o700 }), mkdir('/a')),
  },
  {
    name: 'file/mkdir-parents-there',
    graph: () =>
      file(
        scratch,
        mkdir('/a', { mode: 0o700 }),
        mkdir('/a', { mode: 0o755, makeParents: true, owner: ids(7) }),
      ),
  },
  {
    name: 'file/mkdir-timestamp',
    times: true,
    graph: () => file(scratch, mkdir('/a', { timestamp: 1_000_000_000_000_000_000n })),
  },
  { name: 'file/symlink', graph: () => file(scratch, symlink('../target', '/link', { owner: ids(3, 4) })) },
  {
    name: 'file/symlink-timestamp',
    times: true,
    graph: () => file(scratch, symlink('t', '/link', { timestamp: 1_500_000_000_000_000_000n })),
  },
  {
    name: 'file/symlink-there',
    graph: () => file(scratch, mkfile('/a'), symlink('b', '/a')),
    fails: 'exists',
  },
  { name: 'file/rm', graph: () => file(scratch, mkfile('/a'), mkfile('/b'), rm('/a')) },
  {
    name: 'file/rm-directory',
    graph: () => file(scratch, mkdir('/d'), mkfile('/d/a'), mkfile('/b'), rm('/d')),
  },
  { name: 'file/rm-missing', graph: () => file(scratch, rm('/a')), fails: 'no such file' },
  {
    name: 'file/rm-missing-allowed',
    graph: () => file(scratch, mkfile('/b'), rm('/a', { allowNotFound: true })),
  },
  {
    name: 'file/rm-wildcard',
    graph: () =>
      file(scratch, mkfile('/a1'), mkfile('/a2'), mkfile('/b1'), rm('/a*', { allowWildcard: true })),
  },
  {
    name: 'file/rm-star-without-wildcard',
    graph: () => file(scratch, mkfile('/a*'), mkfile('/ab'), rm('/a*')),
  },
  {
    name: 'file/rm-link',
    graph: () => file(scratch, mkdir('/d'), mkfile('/d/a'), symlink('d', '/link'), rm('/link')),
  },
  {
    name: 'file/rm-through-link',
    graph: () =>
      file(scratch, mkdir('/d'), mkfile('/d/a'), mkfile('/d/b'), symlink('d', '/link'), rm('/link/a')),
  },
  {
    name: 'file/rm-of-base',
    graph: ({ busybox }) => file(busybox, rm('/etc/passwd'), mkfile('/etc/new', 'x')),
  },
  {
    name: 'file/rm-and-make-again',
    graph: () => {
      const base = file(scratch, mkdir('/d'), mkfile('/d/a'), mkfile('/d/b'));
      return file(base, rm('/d'), mkdir('/d', { mode: 0o711 }), mkfile('/d/c'));
    },
  },
  {
    name: 'file/outside-of-the-root',
    graph: () => file(scratch, mkfile('/../../a', 'x'), symlink('/../..', '/up'), mkfile('/up/b', 'y')),
  },
  {
    name: 'file/one-of-several-outcomes',
    graph: () => {
      const left = file(scratch, mkfile('/l', 'l'));
      const right = file(scratch, mkfile('/r', 'r'));
      return file(left, copy(right, '/r', '/from-right'), mkfile('/own', 'o'));
    },
  },
];
