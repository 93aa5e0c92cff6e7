import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** What one run of the suite found. */
export interface Report {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly disabled: number;
  readonly total: number;
  /** Failed tests with what they complained about, and APIs and kinds of data that did not pass. */
  readonly failures: readonly string[];
}

/** Fewer tests than this mean that the suite did not get going, which its exit code does not tell. */
const PLAUSIBLE_TOTAL = 800;

/** Reads `junit.xml` and `results.yaml` as the suite wrote them to a folder. Throws when they cannot be of a whole run. */
export function readReport(folder: string): Report {
  const xml = readFileSync(join(folder, 'junit.xml'), 'utf8');
  const suites = attributes(/<testsuites\s([^>]*)>/.exec(xml)?.[1] ?? '');
  const count = (name: string) => Number(suites.get(name) ?? 0);
  const total = count('tests');
  if (total < PLAUSIBLE_TOTAL) throw new Error(`the suite ran ${total} tests, expected ${PLAUSIBLE_TOTAL}`);
  const failed = count('failures') + count('errors');
  const [skipped, disabled] = [count('skipped'), count('disabled')];
  return {
    passed: total - failed - skipped - disabled,
    failed,
    skipped,
    disabled,
    total,
    failures: [...failedTests(xml), ...failedAreas(readFileSync(join(folder, 'results.yaml'), 'utf8'))],
  };
}

function failedTests(xml: string): string[] {
  const tests = [...xml.matchAll(/<testcase\s([^>]*)>(.*?)<\/testcase>/gs)];
  return tests.flatMap(([, head, body]) => {
    const { name, status } = Object.fromEntries(attributes(head!));
    if (status === 'passed' || status === 'skipped') return [];
    const complaint = /<system-out>(.*?)<\/system-out>/s.exec(body!)?.[1] ?? '';
    return [`${name}: ${decoded(complaint).trim() || status}`];
  });
}

function failedAreas(text: string): string[] {
  const { apis, data } = parse(text) as Record<'apis' | 'data', Record<string, string>>;
  return Object.entries({ ...apis, ...data }).flatMap(([name, status]) =>
    status === 'Pass' || status === 'Disabled' ? [] : [`${name}: ${status}`],
  );
}

function attributes(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name!, decoded(value!)]),
  );
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function decoded(text: string): string {
  return text.replace(/&(?:#x([0-9a-fA-F]+)|#(\d+)|(\w+));/g, (whole, hex, decimal, name) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16));
  });
}
