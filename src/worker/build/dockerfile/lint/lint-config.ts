import { findDirective } from '../directives.ts';
import { DockerfileError } from '../dockerfile-error.ts';
import { parseBoolean } from '../go-number.ts';
import { goQuote } from '../go-quote.ts';
import { trimSpace } from '../spaces.ts';

/** Which rules are checked. */
export interface LintConfig {
  readonly skipped: readonly string[] | 'all';
  /** Experimental rules that are checked; their names in `skipped` mean nothing. */
  readonly experimental: readonly string[] | 'all';
  /** A violation fails the build. */
  readonly failing: boolean;
}

const DEFAULT: LintConfig = { skipped: [], experimental: [], failing: false };

/**
 * `skip=A,B;error=true;experimental=all`: the value of `# check=` and of the build-arg BUILDKIT_DOCKERFILE_CHECK.
 * Throws `DockerfileError`.
 */
export function parseLintOptions(text: string): LintConfig {
  let config = DEFAULT;
  const trimmed = trimSpace(text);
  if (trimmed === '') return config;
  for (const option of splitInThree(trimmed)) {
    const equals = option.indexOf('=');
    if (equals < 0) throw new DockerfileError(`invalid check option ${goQuote(option)}`);
    const name = trimSpace(option.slice(0, equals));
    const value = trimSpace(option.slice(equals + 1));
    if (name === 'skip') config = { ...config, skipped: ruleNames(value) };
    else if (name === 'experimental') config = { ...config, experimental: ruleNames(value) };
    else if (name === 'error') config = { ...config, failing: errorOption(option, value) };
    else throw new DockerfileError(`invalid check option ${goQuote(name)}`);
  }
  return config;
}

/**
 * The configuration for a file: what the build says (BUILDKIT_DOCKERFILE_CHECK) goes before the `check` directive.
 * Throws `DockerfileError`.
 */
export function lintConfigOf(dockerfile: string, option?: string): LintConfig {
  if (option !== undefined) return withReason(option, 'failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK');
  const directive = findDirective('check', dockerfile);
  if (!directive) return DEFAULT;
  return withReason(directive.value.split(' ', 1)[0]!, 'failed to parse check options');
}

function withReason(text: string, reason: string): LintConfig {
  try {
    return parseLintOptions(text);
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    throw new DockerfileError(`${reason}: ${error.message}`);
  }
}

function splitInThree(text: string): string[] {
  const [first = '', second, ...rest] = text.split(';');
  return [first, ...(second === undefined ? [] : [second]), ...(rest.length > 0 ? [rest.join(';')] : [])];
}

function ruleNames(value: string): readonly string[] | 'all' {
  return value === 'all' ? 'all' : value.split(',').map(trimSpace);
}

function errorOption(option: string, value: string): boolean {
  const parsed = parseBoolean(value);
  if (parsed !== undefined) return parsed;
  const reason = `strconv.ParseBool: parsing ${goQuote(value)}: invalid syntax`;
  throw new DockerfileError(`failed to parse check option ${goQuote(option)}: ${reason}`);
}

/** A configuration with what comments above one instruction add to it. */
export function mergedConfig(config: LintConfig, other: LintConfig): LintConfig {
  return {
    skipped: merged(config.skipped, other.skipped),
    experimental: merged(config.experimental, other.experimental),
    failing: config.failing,
  };
}

function merged(a: LintConfig['skipped'], b: LintConfig['skipped']): LintConfig['skipped'] {
  return a === 'all' || b === 'all' ? 'all' : [...a, ...b];
}
