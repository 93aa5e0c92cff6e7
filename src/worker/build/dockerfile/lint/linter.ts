import type { Range } from '../../llb/source-info.ts';
import { DirectiveReader } from '../directives.ts';
import { DockerfileError } from '../dockerfile-error.ts';
import { type LintConfig, mergedConfig, parseLintOptions } from './lint-config.ts';
import type { LintRule } from './rules.ts';

/** Something that works and may yet be a mistake. */
export interface LintWarning {
  /** The rule's name. */
  readonly rule: string;
  readonly description: string;
  readonly url: string;
  readonly message: string;
  readonly range: Range;
}

/** Takes findings, keeps those that are asked for, and tells of them in the order in which they are found. */
export class Linter {
  readonly #config: LintConfig;
  readonly #warn: (warning: LintWarning) => void;
  /** The names of rules that found something: one set with all linters that came of this one. */
  readonly #violated: Set<string>;

  constructor(config: LintConfig, warn: (warning: LintWarning) => void, violated = new Set<string>()) {
    this.#config = config;
    this.#warn = warn;
    this.#violated = violated;
  }

  run<Args extends readonly (string | undefined)[]>(rule: LintRule<Args>, range: Range, ...args: Args): void {
    const { skipped, experimental } = this.#config;
    if (rule.experimental ? !includes(experimental, rule.name) : includes(skipped, rule.name)) return;
    this.#violated.add(rule.name);
    const { name, description, url } = rule;
    this.#warn({ rule: name, description, url, message: rule.message(...args), range });
  }

  /** A linter for the instruction below these comments, one of which may be `check=skip=…`. */
  forComments(comments: readonly string[]): Linter {
    for (const comment of comments) {
      const options = checkOptions(comment);
      if (options === undefined) continue;
      return options === 'invalid'
        ? this
        : new Linter(mergedConfig(this.#config, options), this.#warn, this.#violated);
    }
    return this;
  }

  /** What the build fails with, once it is compiled, when violations are to fail it. */
  violation(): DockerfileError | undefined {
    if (!this.#config.failing || this.#violated.size === 0) return undefined;
    return new DockerfileError(`lint violation found for rules: ${[...this.#violated].join(', ')}`);
  }
}

/** A warning as BuildKit puts it into a build's progress. */
export function shortWarning({ rule, message, range }: LintWarning): string {
  const { line } = range.start;
  return line > 0 ? `${rule}: ${message} (line ${line})` : `${rule}: ${message}`;
}

function includes(names: LintConfig['skipped'], name: string): boolean {
  return names === 'all' || names.includes(name);
}

function checkOptions(comment: string): LintConfig | 'invalid' | undefined {
  const directive = new DirectiveReader({ comment: '' }).read(comment);
  if (directive?.name !== 'check') return undefined;
  try {
    return parseLintOptions(directive.value.split(' ', 1)[0]!);
  } catch (error) {
    if (error instanceof DockerfileError) return 'invalid';
    throw error;
  }
}
