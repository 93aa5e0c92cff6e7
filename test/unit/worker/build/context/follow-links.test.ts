import { expect, it } from 'vitest';
import { followLinks } from '#worker/build/context/follow-links.ts';

/** Directories end in a slash, links lead somewhere, all else is a file. */
function treeOf(...entries: string[]) {
  const links = new Map(
    entries.filter((entry) => entry.includes(' -> ')).map((entry) => entry.split(' -> ') as [string, string]),
  );
  const all = entries.map((entry) => entry.split(' -> ')[0]!.replace(/\/$/, ''));
  return {
    readLink: (path: string) => links.get(path),
    names: (path: string) =>
      all
        .filter((entry) => (path === '.' ? !entry.includes('/') : entry.startsWith(`${path}/`)))
        .map((entry) => (path === '.' ? entry : entry.slice(path.length + 1)))
        .filter((name) => !name.includes('/')),
  };
}

it.each([
  [['a'], ['a'], ['a']],
  [
    ['a/b', '/c/'],
    ['a/', 'a/b', 'c'],
    ['a/b', 'c'],
  ],
  [['nothing'], [], ['nothing']],
  [['l'], ['l -> a', 'a'], ['a', 'l']],
  [['d/l'], ['d/', 'd/l -> ../a', 'a'], ['a', 'd/l']],
  [['l/x'], ['l -> d', 'd/', 'd/x -> /e', 'e'], ['d/x', 'e', 'l']],
  [['l'], ['l -> ../../a'], ['a', 'l']],
  [['l'], ['l -> m', 'm -> l'], ['l', 'm']],
  [['l*'], ['l1 -> a', 'l2 -> b', 'x'], ['a', 'b', 'l*']],
  [['d*/x'], ['d1/', 'd1/x -> /y', 'd2/', 'y'], ['d*/x']],
  [['d', 'd/x'], ['d/', 'd/x'], ['d']],
  [['.'], [], undefined],
  [['../..'], [], ['../..']],
  [['l'], ['l -> /'], undefined],
])('%j in %j brings along %j', (paths, tree, expected) => {
  expect(followLinks(treeOf(...tree), paths)).toEqual(expected);
});
