import { expect, it } from 'vitest';
import { DockerfileError } from '#worker/build/dockerfile/dockerfile-error.ts';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';

const failureOf = (...lines: string[]): DockerfileError => {
  try {
    parseDockerfile(lines.join('\n'));
  } catch (error) {
    if (error instanceof DockerfileError) return error;
    throw error;
  }
  throw new Error(`no failure: ${JSON.stringify(lines)}`);
};
const lineSpans = ({ ranges }: DockerfileError) => ranges.map(({ start, end }) => [start.line, end.line]);

// Of an instruction: BuildKit says where.
it.each([
  [['FOOBAR baz'], 'unknown instruction: FOOBAR'],
  [['RNU bar'], 'unknown instruction: RNU (did you mean RUN?)'],
  [['copi a b'], 'unknown instruction: copi (did you mean copy?)'],
  [['\\'], 'unknown instruction: '],
  [['FROM'], 'FROM requires either one or three arguments'],
  [['FROM a b'], 'FROM requires either one or three arguments'],
  [['FROM a AS b c'], 'FROM requires either one or three arguments'],
  [['FROM --patform=x a'], 'unknown flag: --patform (did you mean platform?)'],
  [['FROM a AS 1x'], `invalid name for build stage: "1x", name can't start with a number or contain symbols`],
  [['ENV'], 'ENV requires at least one argument'],
  [['ENV =1'], 'ENV names can not be blank'],
  [['ENV --x a=1'], 'unknown flag: --x'],
  [['LABEL ""=1 =2'], 'LABEL names can not be blank'],
  [['ARG'], 'ARG requires at least one argument'],
  [['ARG =1'], 'ARG names can not be blank'],
  [['EXPOSE'], 'EXPOSE requires at least one argument'],
  [['VOLUME'], 'VOLUME requires at least one argument'],
  [['VOLUME [" "]'], 'VOLUME specified can not be an empty string'],
  [['USER'], 'USER requires exactly one argument'],
  [['WORKDIR'], 'WORKDIR requires exactly one argument'],
  [['STOPSIGNAL'], 'STOPSIGNAL requires exactly one argument'],
  [['MAINTAINER'], 'MAINTAINER requires exactly one argument'],
  [
    ['COPY'],
    'COPY requires at least two arguments, but only one was provided. Destination could not be determined',
  ],
  [
    ['ADD --x y'],
    'ADD requires at least two arguments, but only one was provided. Destination could not be determined',
  ],
  [['COPY --chwon=1 a b'], 'unknown flag: --chwon (did you mean chown?)'],
  [['COPY --checksum=1 a b'], 'unknown flag: --checksum'],
  [['ADD --from=1 a b'], 'unknown flag: --from'],
  [['COPY --chown a b'], 'missing a value on flag: --chown'],
  [['COPY --exclude a b'], 'missing a value on flag: --exclude'],
  [['COPY --link= a b'], 'missing a value on flag: --link'],
  [['COPY --link=yes a b'], 'expecting boolean value for flag --link, not: yes'],
  [['COPY --chown=1 --chown=2 a b'], 'duplicate flag specified: --chown'],
  [['COPY a <<E', 'E'], 'COPY cannot accept a heredoc as a destination'],
  [['SHELL'], 'SHELL requires at least one argument'],
  [['SHELL []'], 'SHELL requires at least one argument'],
  [['SHELL sh -c'], 'SHELL requires the arguments to be in JSON form'],
  [['ONBUILD'], 'ONBUILD requires at least one argument'],
  [['ONBUILD ONBUILD RUN x'], "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
  [['ONBUILD from x'], "FROM isn't allowed as an ONBUILD trigger"],
  [['ONBUILD MAINTAINER x'], "MAINTAINER isn't allowed as an ONBUILD trigger"],
  [['ONBUILD --x RUN y'], 'unknown flag: --x'],
  [['HEALTHCHECK'], 'HEALTHCHECK requires at least one argument'],
  [['HEALTHCHECK NONE x'], 'HEALTHCHECK NONE takes no arguments'],
  [['HEALTHCHECK foo'], 'Unknown type "FOO" in HEALTHCHECK (try CMD)'],
  [['HEALTHCHECK CMD'], 'Missing command after HEALTHCHECK CMD'],
  [['HEALTHCHECK --retries=-1 CMD a'], '--retries cannot be negative (-1)'],
  [['HEALTHCHECK --retries=x CMD a'], 'strconv.ParseInt: parsing "x": invalid syntax'],
  [['HEALTHCHECK --retries=3000000000 CMD a'], 'strconv.ParseInt: parsing "3000000000": value out of range'],
  [['HEALTHCHECK --interval=1x CMD a'], 'time: unknown unit "x" in duration "1x"'],
  [['HEALTHCHECK --interval=1 CMD a'], 'time: missing unit in duration "1"'],
  [['HEALTHCHECK --timeout=s CMD a'], 'time: invalid duration "s"'],
  [['HEALTHCHECK --start-period=1us CMD a'], 'Interval "start-period" cannot be less than 1ms'],
  [['RUN --network=x a'], 'invalid network mode "x"'],
  [['RUN --security=x a'], 'security "x" is not valid'],
  [['RUN --moun=x a'], 'unknown flag: --moun (did you mean mount?)'],
  [['RUN --mount= a'], 'failed to parse csv mounts: EOF'],
  [
    ['RUN --mount=a\\"b true'],
    'failed to parse csv mounts: parse error on line 1, column 2: bare " in non-quoted field',
  ],
  [['RUN --mount=from=$A a'], "'from' doesn't support variable expansion, define alias stage instead"],
  [['RUN --device=a=b,x a'], "invalid field 'x' must be a key=value pair"],
  [['RUN --device=a=b,name=c a'], 'device name already set to a=b'],
  [['RUN --device=a=b,requird=1 a'], "unexpected key 'requird' in 'requird=1' (did you mean required?)"],
  [['RUN --device=a,required=x a'], 'invalid value for required: x'],
])('says what is wrong with the instruction %j, and where', (lines, message) => {
  const failure = failureOf('FROM a', '', ...lines);
  expect(failure.message).toBe(`dockerfile parse error on line 3: ${message}`);
  expect(lineSpans(failure)).toEqual([[3, 2 + lines.length]]);
  expect(failure).toMatchObject({ kind: 'invalid', line: 3 });
});

// Of the file, or of lines before they are instructions: BuildKit says it without the line.
it.each([
  [['FROM a', 'ENV x'], 'ENV must have two arguments', [2, 2]],
  [['FROM a', 'ONBUILD ENV x'], 'ENV must have two arguments', [2, 2]],
  [
    ['FROM a', 'LABEL a=1 "b c" \\', 'x=1'],
    String.raw`Syntax error - can't find = in "\"b c\"". Must be of the form: name=value`,
    [2, 3],
  ],
  [
    ['FROM a', 'CMD ["a", 1]'],
    'when using JSON array syntax, arrays must be comprised of strings only',
    [2, 2],
  ],
  [['FROM a', 'RUN <<EOF', 'x'], 'unterminated heredoc', [2, 3]],
  [['FROM a', 'COPY <<A <<B /', 'A', 'x'], 'unterminated heredoc', [2, 4]],
  [['# escape=x', 'FROM a'], "invalid escape token 'x' does not match ` or \\", [1, 1]],
  [
    ['# escape=`', '# syntax=a', '# escape=`', 'FROM a'],
    'only one escape parser directive can be used',
    [3, 3],
  ],
  [['# x', '', 'RUN a'], 'no build stage in current context', [3, 3]],
  [['ARG a', 'ARG b'], 'dockerfile contains no stages to build', [2, 2]],
  [['# only a comment', ''], 'file with no instructions', [1, 1]],
  [[''], 'file with no instructions', [1, 1]],
  [['FROM a', `RUN ${'x'.repeat(65_532)}`], 'dockerfile line greater than max allowed size of 65535', [2, 2]],
])('says what is wrong with the lines %j, and where', (lines, message, span) => {
  const failure = failureOf(...lines);
  expect(failure.message).toBe(message);
  expect(lineSpans(failure)).toEqual([span]);
});

it('looks at all lines before it looks at any instruction', () => {
  expect(failureOf('FROM a', 'FOO', 'ENV x').message).toBe('ENV must have two arguments');
});

it.each(['RUN', 'RUN []', 'CMD', 'ENTRYPOINT []', 'STOPSIGNAL --x 9', 'ARG --x y', 'HEALTHCHECK --x NONE'])(
  'lets pass what BuildKit lets pass: %s',
  (line) => {
    expect(parseDockerfile(`FROM a\n${line}`).stages[0]!.instructions).toHaveLength(1);
  },
);
