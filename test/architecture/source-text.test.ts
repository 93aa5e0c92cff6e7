import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, it } from 'vitest';

const files = readdirSync('src', { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('_pb.ts'))
  .map((entry) => `${entry.parentPath}/${entry.name}`);
const text = (file: string) => readFileSync(file, 'utf8');
const lines = (file: string) => text(file).split('\n').length - 1;

it('reads the sources', () => {
  expect(files.length).toBeGreaterThan(100);
});

it('reads the environment in config alone', () => {
  const readers = files.filter(
    (file) => !file.startsWith('src/config/') && /\bprocess\.env\b/.test(text(file)),
  );
  expect(readers).toEqual([]);
});

it('has no drawers for odds and ends, and no barrels', () => {
  const drawers = files.filter((file) => /\/(utils?|common|helpers?)(\/|\.ts$)/.test(file));
  expect(drawers).toEqual([]);
  expect(files.filter((file) => basename(file) === 'index.ts')).toEqual([]);
});

it('keeps files short', () => {
  expect(files.filter((file) => lines(file) > 500)).toEqual([]);
  const sorted = files.map(lines).sort((a, b) => a - b);
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(121);
});
