import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { stated } from './stated.ts';

/** What became of the tests of a file, by their names. */
export interface FileResults {
  readonly file: string;
  readonly tests: ReadonlyMap<string, string>;
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** Reads Vitest's report. */
export function readResults(report: string): FileResults[] {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
  return testResults
    .map(({ name, assertionResults }) => ({
      file: basename(name, '.test.ts'),
      tests: new Map(assertionResults.map(({ fullName, status }) => [fullName, status])),
    }))
    .toSorted((a, b) => (a.file < b.file ? -1 : 1));
}

export interface Difference {
  readonly line: string;
  /** Undefined for one that nobody reckoned with. */
  readonly reason: string | undefined;
}

/** Tests that came out otherwise than those of `first`, and those that failed. */
export function differencesOf(found: readonly FileResults[], first: readonly FileResults[]): Difference[] {
  return found.flatMap(({ file, tests }) => {
    const before = first.find((other) => other.file === file)?.tests;
    return [...tests]
      .filter(([name, status]) => status !== (before?.get(name) ?? status) || status === 'failed')
      .map(([name, status]) => ({
        line: `${status} ${file} > ${name}`,
        reason: stated.find((one) => one.file === file && name.endsWith(one.test))?.reason,
      }));
  });
}

/** A row a file: how many of its tests passed against each target. */
export function table(results: ReadonlyMap<string, readonly FileResults[]>): string {
  const names = [...new Set([...results.values()].flatMap((found) => found.map(({ file }) => file)))];
  const score = (found: readonly FileResults[], file: string) => {
    const tests = [...(found.find((one) => one.file === file)?.tests.values() ?? [])];
    return `${tests.filter((status) => status === 'passed').length}/${tests.length}`;
  };
  const rows = names.map((file) => [file, ...[...results.values()].map((found) => score(found, file))]);
  return [['', ...results.keys()], ...rows]
    .map(([name, ...cells]) => name!.padEnd(24) + cells.map((cell) => cell.padStart(12)).join(''))
    .join('\n');
}
