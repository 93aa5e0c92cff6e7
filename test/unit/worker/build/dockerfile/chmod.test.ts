import { expect, it } from 'vitest';
import { parseChmod } from '#worker/build/dockerfile/chmod.ts';
import { DockerfileError } from '#worker/build/dockerfile/dockerfile-error.ts';

// As BuildKit's library (dchapes-mode) has them.
it.each([
  ['644', 0o4755, 0o644],
  ['0', 0o777, 0],
  ['07777', 0, 0o7777],
  ['+x', 0o644, 0o755],
  ['u+x', 0o644, 0o744],
  ['go-rwx', 0o755, 0o700],
  ['a=r', 0o4755, 0o444],
  ['=', 0o7777, 0o1000],
  ['u=rwX,go=rX', 0o644, 0o644],
  ['u=rwX,go=rX', 0o744, 0o755],
  ['+X', 0o644, 0o644],
  ['g=u', 0o740, 0o770],
  ['o=u-w', 0o760, 0o765],
  ['u+s,g+s', 0o755, 0o6755],
  ['o+s', 0o755, 0o755],
  ['+t', 0o755, 0o1755],
  ['o+t', 0o755, 0o755],
  ['u+t', 0o755, 0o1755],
  ['u-x+w', 0o555, 0o655],
  ['ug=rw,o=', 0o777, 0o660],
  ['a-X', 0o755, 0o644],
  ['u-x,a+X', 0o700, 0o711],
])('%s makes of %o %o', (text, mode, expected) => {
  expect(parseChmod(text).apply(mode, false).toString(8)).toBe(expected.toString(8));
});

it('lets directories be searched', () => {
  expect(parseChmod('+X').apply(0o644, true)).toBe(0o755);
  expect(parseChmod('u=rwX,go=').apply(0o600, true)).toBe(0o700);
});

it('tells digits from changes', () => {
  expect(parseChmod('0755').octal).toBe(0o755);
  expect(parseChmod('+x').octal).toBeUndefined();
});

it.each(['8', '10000', '7x', '77777777777777777777'])('refuses the number %s', (text) => {
  expect(() => parseChmod(text)).toThrow(
    `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
  );
});

it.each(['', 'x', 'u', 'u+x,', ',u+x', 'u+q', 'u +x', '-1'])('refuses %j', (text) => {
  expect(() => parseChmod(text)).toThrow(new DockerfileError('invalid syntax'));
});
