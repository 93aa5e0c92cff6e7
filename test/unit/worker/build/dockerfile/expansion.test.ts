// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what a Dockerfile has
import { expect, it } from 'vitest';
import { expand, expandHeredoc, expandWords } from '#worker/build/dockerfile/expansion.ts';

const values: Record<string, string> = { A: 'one', EMPTY: '', FILE: 'dir/sub/name.tar.gz', PORTS: '80 443' };
const run = (word: string, escapeToken = '\\') => expand(word, (name) => values[name], { escapeToken });

it.each([
  ['plain', 'plain'],
  ['$A', 'one'],
  ['${A}x', 'onex'],
  ['$Ax', ''],
  ['$A-$UNSET-', 'one--'],
  ['\\$A', '$A'],
  ["'$A'", '$A'],
  ['"$A b"', 'one b'],
  ['"\\$A \\" \\\\ \\n"', '$A " \\ \\n'],
  ['a\\ b', 'a b'],
  ['$', '$'],
  ['a$/b', 'a$/b'],
  ['${UNSET:-x}', 'x'],
  ['${EMPTY:-x}', 'x'],
  ['${EMPTY-x}', ''],
  ['${UNSET-x}', 'x'],
  ['${A:-x}', 'one'],
  ['${A:+x}', 'x'],
  ['${EMPTY:+x}', ''],
  ['${EMPTY+x}', 'x'],
  ['${UNSET:-${A}-$A}', 'one-one'],
  ['${UNSET:-"a b"}', 'a b'],
  ['${A:?nope}', 'one'],
  ['${FILE#*/}', 'sub/name.tar.gz'],
  ['${FILE##*/}', 'name.tar.gz'],
  ['${FILE%.*}', 'dir/sub/name.tar'],
  ['${FILE%%.*}', 'dir/sub/name'],
  ['${FILE/\\//-}', 'dir-sub/name.tar.gz'],
  ['${FILE//\\//-}', 'dir-sub-name.tar.gz'],
  ['${A/n?/X}', 'oX'],
  ['${A#x}', 'one'],
  ['$1', ''],
])('expands %s to %j', (word, expected) => {
  expect(run(word)).toBe(expected);
});

it.each([
  ['${UNSET:?is needed}', /UNSET: is needed/],
  ['${EMPTY:?}', /EMPTY: is not allowed to be empty/],
  ['${UNSET?}', /UNSET: is not allowed to be unset/],
  ['${A', /failed to process "\$\{A": syntax error: missing '\}'/],
  ['${A:-x', /syntax error: missing '\}'/],
  ['${}', /bad substitution/],
  ['${A:x}', /unsupported modifier \(:x\)/],
  ['${A^}', /unsupported modifier \(\^\)/],
  ["'a", /matching single-quote/],
  ['"a', /matching double-quote/],
])('refuses %s', (word, message) => {
  expect(() => run(word)).toThrow(message);
});

it('follows the escape directive', () => {
  expect(run('C:\\dir\\`$A', '`')).toBe('C:\\dir\\$A');
});

it('takes quotes in heredocs for text, but not escapes', () => {
  const { result } = expandHeredoc('"$A" \'$A\' \\n \\$A', (name) => values[name]);
  expect(result).toBe('"one" \'one\' n $A');
});

it('splits words that come from a variable', () => {
  expect(expandWords('$PORTS', (name) => values[name], { escapeToken: '\\' })).toEqual(['80', '443']);
});

it('ends values that double without end', () => {
  let value = 'x'.repeat(1024);
  expect(() => {
    for (let times = 0; times < 30; times++) {
      const before = value;
      value = expand('$V$V', () => before, { escapeToken: '\\' });
    }
  }).toThrow('the value is longer than');
});
