// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what a Dockerfile has
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DockerfileError } from '#worker/build/dockerfile/dockerfile-error.ts';
import { expand } from '#worker/build/dockerfile/expansion.ts';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';

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
