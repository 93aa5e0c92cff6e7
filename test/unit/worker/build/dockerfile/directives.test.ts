import { expect, it } from 'vitest';
import { detectSyntax, findDirective } from '#worker/build/dockerfile/directives.ts';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';

it.each([
  ['# syntax=docker/dockerfile:1', 'docker/dockerfile:1', 'docker/dockerfile:1', 1],
  ['#syntax = a b c \nFROM x', 'a', 'a b c', 1],
  ['# escape=`\r\n# SYNTAX=a\r\n', 'a', 'a', 2],
  ['\uFEFF# syntax=a', 'a', 'a', 1],
  ['#!/usr/bin/env x\n# syntax=a', 'a', 'a', 2],
  ['// syntax=a b\nanything', 'a', 'a b', 1],
  ['#!/x\n//syntax=a', 'a', 'a', 2],
  ['{"syntax": "a b", "x": 1}', 'a', 'a b', 1],
  [' {\n"syntax": "a"}', 'a', 'a', 1],
])('finds the frontend that %j asks for', (text, reference, commandLine, line) => {
  expect(detectSyntax(text)).toMatchObject({ reference, commandLine, range: { start: { line } } });
});

it.each([
  '',
  'FROM x\n# syntax=a',
  '\n# syntax=a',
  '# a comment\n# syntax=a',
  '# other=x\n# syntax=a',
  ' # syntax=a',
  '# syntax=',
  '{"syntax": 1}',
  '{"syntax": "a"} x',
  '["syntax"]',
])('finds none in %j', (text) => {
  expect(detectSyntax(text)).toBeUndefined();
});

it('takes other directives in their first form alone', () => {
  expect(findDirective('check', '# syntax=a\n# check=skip=all')).toMatchObject({ value: 'skip=all' });
  expect(findDirective('check', '// check=skip=all')).toBeUndefined();
  expect(findDirective('check', '# escape=`\n# escape=`\n# check=x')).toBeUndefined();
});

it('gives a file its directives', () => {
  const file = parseDockerfile('# escape=`\n# check=error=true\n# syntax=a b\nFROM x');
  expect(file.directives).toEqual({ escape: '`', check: 'error=true', syntax: 'a b' });
});

it('takes a directive after anything else for a comment', () => {
  for (const before of ['# a comment', '', 'ARG x', '# unknown=x']) {
    const file = parseDockerfile(`${before}\n# escape=\`\nFROM a`);
    expect(file.directives).toEqual({ escape: '\\' });
  }
});
