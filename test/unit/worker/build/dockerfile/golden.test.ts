import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';
import type { Range } from '#worker/build/llb/source-info.ts';

const folder = join(import.meta.dirname, 'golden');
const cases = readdirSync(folder).filter((name) => name.endsWith('.Dockerfile'));

/** `3`, or `3:5` with a column. */
const position = ({ line, character }: Range['start']) =>
  character === 0 ? `${line}` : `${line}:${character}`;
const isRange = (value: unknown): value is Range =>
  typeof value === 'object' && value !== null && 'start' in value;
const shortened = (_: string, value: unknown) =>
  isRange(value) ? `${position(value.start)}-${position(value.end)}` : value;

// What each file means was compared with BuildKit v0.32's own parser when it was written.
it.each(cases)('reads %s', async (name) => {
  const file = parseDockerfile(readFileSync(join(folder, name), 'utf8'));
  const text = `${JSON.stringify(file, shortened, 2)}\n`;
  await expect(text).toMatchFileSnapshot(join(folder, name.replace('.Dockerfile', '.golden.txt')));
});
