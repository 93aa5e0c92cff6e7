import {
  copy,
  diff,
  type Edge,
  exec,
  file,
  merge,
  mkdir,
  mkfile,
  rm,
  type State,
  symlink,
} from '../graph.ts';
import type { LlbCase } from '../llb-case.ts';

const scratch = undefined;
const base = () =>
  file(
    scratch,
    mkdir('/d'),
    mkfile('/d/a', 'a'),
    mkfile('/d/b', 'b'),
    mkdir('/e', { mode: 0o700 }),
    mkfile('/e/x', 'x'),
    mkfile('/f', 'f'),
    symlink('f', '/l'),
  );

/** The difference alone, and put on other files. */
const both = (name: string, lower: (at: Edge) => State, upper: (at: Edge) => State): LlbCase[] => {
  const difference = (at: Edge) => diff(lower(at), upper(at));
  const others = () =>
    file(scratch, mkdir('/d'), mkfile('/d/other', 'o'), mkfile('/d/a', 'theirs'), mkfile('/f', 'theirs'));
  return [
    { name: `diff/${name}`, graph: ({ busybox }) => difference(busybox!) },
    { name: `diff/${name}-on-others`, graph: ({ busybox }) => merge(others(), difference(busybox!)) },
  ];
};

const apart = () =>
  file(
    scratch,
    mkdir('/d', { mode: 0o711 }),
    mkfile('/d/a', 'a'),
    mkfile('/d/c', 'c'),
    mkdir('/f'),
    mkfile('/f/in', 'in'),
  );

export const diffCases: readonly LlbCase[] = [
  { name: 'diff/nothing', graph: () => diff(scratch, scratch) },
  { name: 'diff/self', graph: () => diff(base(), base()) },
  ...both(
    'from-nothing',
    () => scratch,
    () => base(),
  ),
  ...both(
    'to-nothing',
    () => base(),
    () => scratch,
  ),
  ...both(
    'one-step',
    () => base(),
    () => file(base(), mkfile('/new', 'n'), rm('/d/a')),
  ),
  ...both(
    'two-steps',
    () => base(),
    () => file(file(base(), mkfile('/new', 'n')), rm('/d/a'), rm('/new')),
  ),
  ...both(
    'directory-made-again',
    () => base(),
    () => file(base(), rm('/d'), mkdir('/d'), mkfile('/d/z', 'z')),
  ),
  ...both(
    'mode-alone',
    () => base(),
    () => file(base(), copy(scratch, '/', '/', { dirCopyContents: true })),
  ),
  ...both(
    'command',
    (at) => at,
    (at) => exec(at, 'mkdir /d; echo n > /d/n; chmod 700 /tmp; rm /etc/group'),
  ),
  ...both(
    'command-changes-back',
    (at) => at,
    (at) => exec(at, 'touch /etc/n; rm /etc/n; mkdir -p /d/sub; touch /d/n'),
  ),
  ...both(
    'of-strangers',
    () => base(),
    () => apart(),
  ),
  ...both(
    'of-strangers-the-other-way',
    () => apart(),
    () => base(),
  ),
  ...both(
    'shuffled',
    () => base(),
    () => {
      const moved = file(base(), copy(base(), '/d/a', '/moved'), rm('/d/a'));
      return file(moved, copy(moved, '/moved', '/d/a'), rm('/moved'));
    },
  ),
  ...both(
    'of-a-merge',
    () => base(),
    () => merge(base(), apart()),
  ),
  ...both(
    'of-merges-that-differ',
    () => merge(base(), apart()),
    () => merge(apart(), base()),
  ),
  ...both(
    'of-a-difference',
    () => scratch,
    () => diff(base(), file(base(), mkfile('/d/n', 'n'), rm('/f'))),
  ),
];
