import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = join(import.meta.dirname, 'golden.txt');

/** What BuildKit has made of each case: lines by name. `npm run llb -- --write` writes them. */
export function readGolden(): Map<string, readonly string[]> {
  if (!existsSync(FILE)) return new Map();
  const [, ...parts] = readFileSync(FILE, 'utf8').split(/^== (.+)\n/m);
  const golden = new Map<string, readonly string[]>();
  for (let at = 0; at < parts.length; at += 2) {
    golden.set(parts[at]!, parts[at + 1]!.split('\n').filter(Boolean));
  }
  return golden;
}

export function writeGolden(golden: ReadonlyMap<string, readonly string[]>): void {
  const sections = [...golden].map(
    ([name, lines]) => `== ${name}\n${lines.map((line) => `${line}\n`).join('')}`,
  );
  writeFileSync(FILE, sections.join('\n'));
}

/** A tree as it differs from the stand-in's. */
export function changesOf(files: readonly string[], base: readonly string[]): string[] {
  const known = new Set(base);
  const seen = new Set(files.map(pathOf));
  // A tree that is not made on it has none of it.
  const isOn = base.filter((line) => seen.has(pathOf(line))).length > base.length / 2;
  const gone = isOn ? base.filter((line) => !seen.has(pathOf(line))).map((line) => `- ${pathOf(line)}`) : [];
  return [...files.filter((line) => !known.has(line)), ...gone];
}

function pathOf(line: string): string {
  return line.slice(0, line.indexOf(' '));
}
