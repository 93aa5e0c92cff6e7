// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what a Dockerfile has
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKind } from '#errors/errors.ts';
import { readIgnoreFile } from '#worker/build/context/ignore-file.ts';
import { PatternMatcher } from '#worker/build/context/pattern-matcher.ts';
import { parseChmod } from '#worker/build/dockerfile/chmod.ts';
import { detectSyntax } from '#worker/build/dockerfile/directives.ts';
import { DockerfileError } from '#worker/build/dockerfile/dockerfile-error.ts';
import { expand } from '#worker/build/dockerfile/expansion.ts';
import { parseLintOptions } from '#worker/build/dockerfile/lint/lint-config.ts';
import { Linter } from '#worker/build/dockerfile/lint/linter.ts';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';
import { parseMount, resolveMount } from '#worker/build/dockerfile/run-mount.ts';
import type { Range } from '#worker/build/llb/source-info.ts';

const keyword = fc.constantFrom(
  ...[
    'FROM',
    'RUN',
    'COPY',
    'ADD',
    'ENV',
    'ARG',
    'LABEL',
    'CMD',
    'HEALTHCHECK',
    'ONBUILD',
    'SHELL',
    'VOLUME',
  ],
);
const piece = fc.constantFrom(
  ...['a', ' ', '\t', '=', '"', "'", '\\', '`', '$', '${', '}', ':-', '#', '%', '/', '--', '<<EOF', '<<-"X"'],
  ...[
    '\n',
    '\r\n',
    'EOF',
    '[',
    ']',
    '"a"',
    ',',
    '--from=',
    '--mount=',
    'CMD',
    'AS',
    '# escape=`',
    '\u{1F40B}',
  ],
);
const line = fc
  .tuple(keyword, fc.array(fc.oneof(piece, fc.string({ maxLength: 5 })), { maxLength: 15 }))
  .map(([word, rest]) => `${word} ${rest.join('')}`);

const onlyDockerfileErrors = (task: () => unknown) => {
  try {
    task();
  } catch (error) {
    expect(error).toBeInstanceOf(DockerfileError);
  }
};

it('parses whatever it is given, or throws a Dockerfile error', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(line, fc.string()), { maxLength: 8 }), (lines) => {
      onlyDockerfileErrors(() => parseDockerfile(['FROM x', ...lines].join('\n')));
    }),
    { numRuns: 2000 },
  );
});

it('expands whatever it is given, or throws a Dockerfile error', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.string(), (pieces, value) => {
      onlyDockerfileErrors(() => expand(pieces.join(''), () => value, { escapeToken: '\\' }));
    }),
    { numRuns: 2000 },
  );
});

it('gives plain words back as they are', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[^\\$'"]*$/), (word) => {
      expect(expand(word, () => undefined, { escapeToken: '\\' })).toBe(word);
    }),
  );
});

it('knows places that are in the file', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(line, piece, fc.string()), { maxLength: 8 }), (lines) => {
      const text = ['FROM x', ...lines].join('\n');
      const physical = text.split('\n');
      const isInside = ({ start, end }: Range) => {
        expect(start.line).toBeGreaterThan(0);
        expect(end.line).toBeGreaterThanOrEqual(start.line);
        expect(end.line).toBeLessThanOrEqual(physical.length);
        expect(end.character).toBeLessThanOrEqual(physical[end.line - 1]!.length);
      };
      try {
        for (const { from, instructions } of parseDockerfile(text).stages) {
          for (const instruction of [from, ...instructions]) {
            isInside(instruction.range);
            for (const flag of instruction.flags) {
              isInside(flag.range);
              const { line: at, character } = flag.range.start;
              expect(physical[at - 1]!.slice(character)).toMatch(/^--/);
            }
            if ('heredocs' in instruction) for (const { range } of instruction.heredocs) isInside(range);
          }
        }
      } catch (error) {
        if (!(error instanceof DockerfileError)) throw error;
        expect(error.ranges.length).toBeGreaterThan(0);
        error.ranges.forEach(isInside);
      }
    }),
    { numRuns: 2000 },
  );
});

it('reads mounts, patterns, options and modes, or throws what is to be thrown', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 8 }), (pieces) => {
      const text = pieces.join('');
      onlyDockerfileErrors(() => resolveMount(parseMount(text), (word) => word));
      onlyDockerfileErrors(() => parseLintOptions(text));
      onlyDockerfileErrors(() => parseChmod(text));
      onlyDockerfileErrors(() => expand(text, (name) => name, { escapeToken: '`', skipUnsetEnv: true }));
      detectSyntax(text);
      try {
        new PatternMatcher(readIgnoreFile(text)).matches('a/b');
      } catch (error) {
        expect(isKind(error, 'invalid')).toBe(true);
      }
    }),
    { numRuns: 1000 },
  );
});

/** Nothing here may take time that grows with the square of the length: each would take minutes. */
describe('a Dockerfile made to take long', () => {
  const KIB64 = 65_000;
  const long = (text: string) => text.repeat(Math.floor(KIB64 / text.length));
  const FROM = 'FROM x\n';
  const many = (text: string) =>
    FROM + text.repeat(Math.floor((4 * 1024 * 1024 - FROM.length) / text.length));

  it.each([
    ['words', `COPY ${long('a ')}/`],
    ['white space', `RUN a${long(' ')}b`],
    ['white space after escapes', `RUN ${long('\\ \t')}`],
    ['flags', `COPY ${long('--exclude=a ')}/`],
    ['flags that nobody knows', `COPY --${long('x')} a b`],
    ['quotes', `ENV a=${long('"\'')}`],
    ['openings of substitutions', `ENV a=${long('${a:-')}`],
    ['ONBUILDs', long('ONBUILD ')],
    ['heredocs', `RUN ${long('<<E ')}`],
    ['a heredoc of one name', `COPY <<${long('a')} /\nx`],
    ['JSON', `RUN ${long('[')}`],
    ['unclosed JSON', `RUN ["${long('\\"')}`],
    ['mount options', `RUN --mount=${long('a,')} x`],
    ['mount quotes', `RUN --mount=${long('"",')} x`],
    ['durations', `HEALTHCHECK --interval=${long('1s')} CMD x`],
    ['an instruction that there is not', long('x')],
    ['a stage name', `FROM x AS ${long('a-')}`],
    ['a directive of white space', `# escape=x${long(' ')}y`],
    ['comments of white space', `#${long(' ')}`],
  ])('by %s is read or refused', (_, text) => {
    const linter = new Linter({ skipped: [], experimental: 'all', failing: false }, () => undefined);
    for (const file of [FROM + text, `${text}\n${FROM}`])
      onlyDockerfileErrors(() => parseDockerfile(file, linter));
  });

  it.each([
    ['empty lines', '\n'],
    ['comments', '#\n'],
    ['described lines', '# x y\n'],
    ['continued lines', 'a \\\n'],
    ['continued nothing', '\\\n\n'],
    ['instructions', 'RUN a\n'],
    ['stages', 'FROM x AS x\n'],
    ['heredocs', 'RUN <<E\na\nE\n'],
    ['one heredoc', 'RUN <<E\n'],
    ['carriage returns', `${'\r'.repeat(1000)}\n`],
    ['instructions that are wrong', 'ENV\n'],
  ])('by 4 MiB of %s is read or refused', (_, text) => {
    const linter = new Linter({ skipped: [], experimental: 'all', failing: false }, () => undefined);
    onlyDockerfileErrors(() => parseDockerfile(many(text), linter));
  });

  it.each([
    ['${V//a*a*a*b/x}', 'a'.repeat(3000)],
    ['${V%%*a*b*c*}', 'ab'.repeat(20_000)],
    ['${V##*}', 'a'.repeat(500_000)],
    ['${V//?/$V}', 'a'.repeat(2000)],
    [`\${V//${'?'.repeat(2000)}b/x}`, 'a'.repeat(5000)],
    [`\${V#${'*a'.repeat(1000)}}`, 'a'.repeat(20_000)],
  ])('by the substitution %.40s ends', (word, value) => {
    onlyDockerfileErrors(() => expand(word, () => value, { escapeToken: '\\' }));
  });

  it('is refused beyond 4 MiB, and beyond 10,000 instructions', () => {
    expect(() => parseDockerfile('#'.repeat(4 * 1024 * 1024 + 1))).toThrow('is larger than');
    expect(() => parseDockerfile(FROM + 'RUN\n'.repeat(10_000))).toThrow('has more than 10000 instructions');
  });
});
