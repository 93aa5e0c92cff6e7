// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what a Dockerfile has
import { expect, it } from 'vitest';
import { expand, expandHeredoc, expandTracked, expandWords } from '#worker/build/dockerfile/expansion.ts';

const values: Record<string, string> = {
  ...{ A: 'one', B: 'two words', EMPTY: '', FILE: 'dir/sub/name.tar.gz', PORTS: '80 443' },
  ...{ STARS: '***', LINES: 'one\ntwo' },
};
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
  ['$12x', 'x'],
  ['$@$#$?$-', ''],
  ['${FILE%tar*}', 'dir/sub/name.'],
  ['${FILE#d?r}', '/sub/name.tar.gz'],
  ['${FILE##}', 'dir/sub/name.tar.gz'],
  ['${STARS#\\*}', '**'],
  ['${STARS//\\*/+}', '+++'],
  ['${STARS%%\\**}', ''],
  ['${LINES#*e}', '\ntwo'],
  ['${LINES##*}', '\ntwo'],
  ['${A//?/<$EMPTY>}', '<><><>'],
  ['${A/*/$B}', 'two words'],
  ['${A/o/"x y"}', 'x yne'],
  ['${EMPTY//*/x}', 'x'],
  ['${A//*/x}', 'x'],
  ['${UNSET:-${UNSET:-${UNSET:-deep}}}', 'deep'],
  ["${UNSET:-'$A'}", '$A'],
  ['${UNSET:-\\}}', '}'],
  ['"a\\`"', 'a\\`'],
  ['é$é', 'é'],
  ['\u{1F40B}${A}\u{1F40B}', '\u{1F40B}one\u{1F40B}'],
  ['a\\', 'a'],
  ['<$A<<$A<', '<one<<one<'],
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
  ['${A:#x}', /unsupported modifier \(:#\)/],
  ['${:-x}', /bad substitution/],
  ['${${A}}', /unsupported modifier \(\{\)/],
  ['${A/x', /missing '\/' in \$\{\}/],
  ['${A//x/y', /syntax error: missing '\}'/],
  ['${A#\\x}', /invalid pattern \(\\x\) in substitution: invalid escape '\\x'/],
  ['${', /syntax error: missing '\}'/],
  ['${A:-"x}', /syntax error: missing '\}'/],
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

it('tells which variables were looked up', () => {
  const { result, matched, unmatched } = expandTracked(
    "$A ${UNSET:-$EMPTY} ${B:-$NEVER} $1 \\$QUOTED '$ALSO'",
    (name) => values[name],
    { escapeToken: '\\' },
  );
  expect(result).toBe('one  two words  $QUOTED $ALSO');
  expect([...matched]).toEqual(['A', 'EMPTY', 'B']);
  expect([...unmatched]).toEqual(['UNSET', 'NEVER', '1']);
});

it.each([
  [{ rawQuotes: true }, `"$A \\n" '$A' \\$A $UNSET`, `"one \\n" '$A' $A `],
  [{ rawEscapes: true }, '"$A" \\a \\$A', 'one \\a \\$A'],
  [
    { skipUnsetEnv: true },
    '$A $U ${U} ${U:-x $A} ${U#a} ${U/a/b}',
    'one $U ${U} ${U:-x one} ${U#a} ${U/a/b}',
  ],
  [{ skipProcessQuotes: true }, `"$A' \\"`, `"one' "`],
])('%j keeps what it is to keep', (options, word, expected) => {
  expect(expand(word, (name) => values[name], { escapeToken: '\\', ...options })).toBe(expected);
});

it.each([
  ['80 $PORTS', ['80', '80', '443']],
  ['"80 $PORTS"', ['80 80 443']],
  ["a'b c'd  e\\ f", ['ab cd', 'e f']],
  ['x$PORTS', ['x80', '443']],
  ['a ${UNSET:-b c}d', ['a', 'b', 'cd']],
  ['<< EOF', ['<< EOF']],
  ['""', []],
])('makes words of %s', (text, words) => {
  expect(expandWords(text, (name) => values[name], { escapeToken: '\\' })).toEqual(words);
});
