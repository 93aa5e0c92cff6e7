type Outcome = 'passed' | 'failed' | 'skipped';

interface Test {
  outcome: Outcome;
  /** Why it did not pass. */
  reason: string;
}

/** What pytest's report in JUnit's format tells of each test. */
export class SuiteResults {
  readonly #target: string;
  readonly #tests = new Map<string, Test>();

  constructor(target: string, report: string) {
    this.#target = target;
    // A test whose clean-up fails is told of twice.
    for (const [, attributes, inner] of report.matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)) {
      const name = `${attribute(attributes!, 'classname').replace(/^tests\.integration\./, '')}.${attribute(attributes!, 'name')}`;
      const [, kind, about = ''] = /<(failure|error|skipped) ([^>]*)/.exec(inner ?? '') ?? [];
      const outcome = kind === undefined ? 'passed' : kind === 'skipped' ? 'skipped' : 'failed';
      if (this.#tests.get(name)?.outcome === 'failed') continue;
      this.#tests.set(name, { outcome, reason: attribute(about, 'message') });
    }
  }

  print(): void {
    const count = (wanted: Outcome) =>
      [...this.#tests.values()].filter(({ outcome }) => outcome === wanted).length;
    for (const [name, { outcome }] of this.#tests) if (outcome === 'failed') console.log(this.#line(name));
    console.log(
      `${this.#target}: ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped of ${this.#tests.size}`,
    );
  }

  /** Returns how many tests came out otherwise than there. */
  printDifferences(other: SuiteResults): number {
    const names = new Set([...this.#tests.keys(), ...other.#tests.keys()]);
    const different = [...names].filter(
      (name) => this.#tests.get(name)?.outcome !== other.#tests.get(name)?.outcome,
    );
    console.log(`${this.#target}: ${different.length} otherwise than ${other.#target}`);
    for (const name of different) {
      console.log(`  ${this.#line(name)}\n  ${other.#target}: ${other.#line(name)}`);
    }
    return different.length;
  }

  #line(name: string): string {
    const { outcome, reason } = this.#tests.get(name) ?? { outcome: 'absent', reason: '' };
    return `${outcome} ${name}${reason && `: ${reason.replaceAll(/\s+/g, ' ').slice(0, 400)}`}`;
  }
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function attribute(attributes: string, name: string): string {
  const [, value = ''] = new RegExp(`\\b${name}="([^"]*)"`).exec(attributes) ?? [];
  return value
    .replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replaceAll(/&(\w+);/g, (all, entity: string) => entities[entity] ?? all);
}
