import { copy, diff, type Edge, exec, file, merge, mkdir, mkfile, rm, symlink } from '../graph.ts';
import type { LlbCase } from '../llb-case.ts';

const scratch = undefined;
const a = () =>
  file(scratch, mkdir('/d', { mode: 0o700 }), mkfile('/d/a', 'a'), mkfile('/both', 'of a', { mode: 0o600 }));
const b = () => file(scratch, mkdir('/d', { mode: 0o755 }), mkfile('/d/b', 'b'), mkfile('/both', 'of b'));

const one = (name: string, ...states: (() => Edge)[]): LlbCase => ({
  name: `merge/${name}`,
  graph: () => merge(...states.map((state) => state())),
});

export const mergeCases: readonly LlbCase[] = [
  one('two', a, b),
  one('two-the-other-way', b, a),
  one('same-twice', a, a),
  one('one-of-three-again', a, b, a),
  one('one', a),
  one('deletion', b, () => file(a(), rm('/both'))),
  one('deletion-of-what-is-not-there', a, () => file(file(scratch, mkfile('/x'), mkfile('/y')), rm('/x'))),
  one('directory-over-file', () => file(scratch, mkfile('/d', 'file')), b),
  one('file-over-directory', b, () => file(scratch, mkfile('/d', 'file'))),
  one('link-over-directory', b, () => file(scratch, mkdir('/e'), symlink('e', '/d'))),
  one('directory-over-link', () => file(scratch, mkdir('/e'), symlink('e', '/d')), b),
  one('made-again', a, () => file(b(), rm('/d'), mkdir('/d', { mode: 0o711 }), mkfile('/d/c', 'c'))),
  {
    name: 'merge/on-a-base',
    graph: ({ busybox }) => merge(busybox!, a(), b()),
  },
  {
    name: 'merge/command-makes-directory-again',
    graph: ({ busybox }) => {
      const made = exec(merge(busybox!, b()), 'rm -rf /d; mkdir /d; echo n > /d/n');
      return merge(a(), made);
    },
  },
  {
    name: 'merge/command-makes-new-directory',
    graph: ({ busybox }) => merge(a(), exec(busybox, 'mkdir /d; echo n > /d/n')),
  },
  {
    name: 'merge/then-a-command',
    graph: ({ busybox }) => exec(merge(busybox!, a(), b()), 'rm /d/a; cat /both > /out'),
  },
  {
    name: 'merge/copied-and-merged',
    graph: ({ busybox }) =>
      merge(file(scratch, copy(busybox, '/etc/passwd', '/p')), file(scratch, copy(b(), '/d', '/p2'))),
  },
  {
    name: 'merge/of-merges',
    graph: () => merge(merge(a(), b()), merge(b(), file(scratch, mkfile('/z', 'z')))),
  },
  {
    name: 'merge/of-a-difference',
    graph: ({ busybox }) =>
      merge(a(), diff(busybox, exec(busybox, 'mkdir /d; echo n > /d/n; rm /etc/group'))),
  },
];
