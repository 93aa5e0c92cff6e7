export interface TestResult {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped' | 'unfinished';
  /** What the test said, which is why it failed or was skipped. */
  readonly said: readonly string[];
}

/** What the suites run each test for. */
const variant = /^(?:frontend|env|secmode|netmode|security\.insecure|network\.host|max-parallelism)=[a-z]+$/;

/** What `go test -v` prints, read by test: one of the suite in one of its variants; tests within it belong to it. */
export class TestResults {
  readonly #package: string;
  readonly #said = new Map<string, string[]>();
  readonly #outcomes = new Map<string, TestResult['outcome']>();
  #speaking = '';
  #broken: string | undefined;

  constructor(name: string) {
    this.#package = name;
  }

  read(text: string): void {
    // In this mode Go tells of each test at once, and marks its own lines.
    const line = text.replaceAll('\x16', '');
    const [, speaker] = /^=== (?:RUN|CONT|NAME|PAUSE)\s+(\S+)/.exec(line) ?? [];
    if (speaker !== undefined) {
      this.#speaking = testOf(speaker);
      if (line.startsWith('=== RUN') && isWhole(speaker)) this.#outcomes.set(this.#speaking, 'unfinished');
      return;
    }
    const [, word, name] = /^\s*--- (PASS|FAIL|SKIP): (\S+)/.exec(line) ?? [];
    if (word !== undefined && name !== undefined) this.#told(word, name);
    else if (/^(?:panic:|fatal error:)/.test(line)) this.#broken = line;
    if (word === undefined) this.#saidOf(this.#speaking).push(line);
  }

  ended(code: number | null): void {
    if (code !== 0 && this.failed.length === 0) this.#broken ??= `the suite ended with ${code}`;
  }

  get all(): TestResult[] {
    return [...this.#outcomes]
      .map(([name, outcome]) => ({ name, outcome, said: this.#said.get(name) ?? [] }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get failed(): TestResult[] {
    return this.all.filter(({ outcome }) => outcome === 'failed' || outcome === 'unfinished');
  }

  print(): void {
    const { all, failed } = this;
    const count = (wanted: string) => all.filter(({ outcome }) => outcome === wanted).length;
    for (const { name, outcome, said } of all) {
      if (outcome !== 'passed') process.stdout.write(`${outcome} ${name}: ${reason(said)}\n`);
    }
    const counts = `${count('passed')} passed, ${failed.length} failed, ${count('skipped')} skipped of ${all.length}`;
    process.stdout.write(`${this.#package}: ${counts}\n`);
    if (this.#broken !== undefined) process.stdout.write(`${this.#broken}\n`);
  }

  /** Everything that was said by those that did not pass. */
  text(): string {
    return this.all
      .map(({ name, outcome, said }) =>
        outcome === 'passed' ? `passed ${name}\n` : `${outcome} ${name}\n    ${said.join('\n    ')}\n`,
      )
      .join('');
  }

  #told(word: string, name: string): void {
    const test = testOf(name);
    if (test === '') return;
    const outcome = word === 'PASS' ? 'passed' : word === 'FAIL' ? 'failed' : 'skipped';
    // Within a test each part tells too: it has failed if one has, and is skipped if it says so itself.
    if (this.#outcomes.get(test) === 'failed' || (outcome === 'skipped' && !isWhole(name))) return;
    if (isWhole(name) || outcome === 'failed') this.#outcomes.set(test, outcome);
  }

  #saidOf(test: string): string[] {
    const said = this.#said.get(test) ?? [];
    this.#said.set(test, said);
    return said;
  }
}

/** `TestX/frontend=client` of `TestIntegration/slice=1-9/TestX/worker=oci/frontend=client/part`. */
function testOf(name: string): string {
  const [, ...parts] = name.split('/').filter((part) => !part.startsWith('slice='));
  const [test, worker, ...rest] = parts;
  if (test === undefined || worker === undefined) return '';
  return [test, ...rest.filter((part) => variant.test(part))].join('/');
}

/** Not a part of a test: nothing but what the suite's own variants are. */
function isWhole(name: string): boolean {
  const [, , , ...rest] = name.split('/').filter((part) => !part.startsWith('slice='));
  return testOf(name) !== '' && rest.every((part) => variant.test(part));
}

/** The first thing that sounds like a reason. */
function reason(said: readonly string[]): string {
  const at = said.findIndex((line) => /Error:\s/.test(line));
  const lines = at >= 0 ? said.slice(at, at + 3) : said.filter((line) => line.trim() !== '').slice(0, 1);
  return lines
    .map((line) => line.replace(/^\s*(?:Error:)?\s*/, ''))
    .join(' ')
    .slice(0, 400);
}
