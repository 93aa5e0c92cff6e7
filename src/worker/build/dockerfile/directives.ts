import type { Range } from '../llb/source-info.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { linesOf } from './ranges.ts';
import { trimEndOf, trimStart } from './spaces.ts';

/** Parser directives: the `# name=value` comments before everything else in a Dockerfile. */
export interface Directives {
  readonly escape: '\\' | '`';
  /** The frontend that it asks for, with its command line. */
  readonly syntax?: string;
  /** Options for the linter. */
  readonly check?: string;
}

export interface Directive {
  readonly name: string;
  readonly value: string;
  readonly range: Range;
}

const KNOWN: readonly string[] = ['syntax', 'escape', 'check'];
const DIRECTIVE = /^([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*([^\n]+)$/;

/** Reads directives line by line, up to the first line that is none. */
export class DirectiveReader {
  readonly #comment: string;
  readonly #seen = new Set<string>();
  #line: number;
  #done = false;

  /** `line`: how many lines came before the first. */
  constructor({ comment = '#', line = 0 } = {}) {
    this.#comment = comment;
    this.#line = line;
  }

  /** Throws `DockerfileError` for a directive that was there before. */
  read(line: string): Directive | undefined {
    this.#line++;
    if (this.#done) return undefined;
    const match = line.startsWith(this.#comment)
      ? DIRECTIVE.exec(trimStart(line.slice(this.#comment.length)))
      : null;
    const name = match?.[1]?.toLowerCase() ?? '';
    if (!KNOWN.includes(name)) {
      this.#done = true;
      return undefined;
    }
    const range = linesOf(this.#line);
    if (this.#seen.has(name))
      throw new DockerfileError(`only one ${name} parser directive can be used`, range);
    this.#seen.add(name);
    // White space alone is a value, if an odd one.
    const value = match![2]!;
    return { name, value: trimEndOf(value, '\t\n\f\r ') || value[0]!, range };
  }
}

/** Throws `DockerfileError`. */
export function escapeTokenOf({ value, range }: Directive): '\\' | '`' {
  if (value === '\\' || value === '`') return value;
  throw new DockerfileError(`invalid escape token '${value}' does not match \` or \\`, range);
}

export interface DetectedSyntax {
  /** The frontend's image. */
  readonly reference: string;
  /** It and what follows it. */
  readonly commandLine: string;
  readonly range: Range;
}

/**
 * The frontend that a file asks for, whatever its language: `# syntax=`, `// syntax=`, or a JSON object's `syntax`;
 * a first line `#!…` is passed over.
 */
export function detectSyntax(text: string): DetectedSyntax | undefined {
  const found = findDirective('syntax', text, '#') ?? findDirective('syntax', text, '//') ?? jsonSyntax(text);
  if (!found) return undefined;
  const [reference = ''] = found.value.split(' ', 1);
  return { reference, commandLine: found.value, range: found.range };
}

/** A directive in its first form alone, `# name=`; what is wrong with others is for the parser to say. */
export function findDirective(name: string, text: string, comment = '#'): Directive | undefined {
  const { lines, skipped } = firstLines(text);
  const reader = new DirectiveReader({ comment, line: skipped });
  try {
    for (const line of lines) {
      const directive = reader.read(line);
      if (directive === undefined || directive.name === name) return directive;
    }
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
  }
  return undefined;
}

/** More lines than directives can have. */
function firstLines(text: string): { lines: string[]; skipped: number } {
  const lines: string[] = [];
  let at = text.startsWith('\uFEFF') ? 1 : 0;
  while (at < text.length && lines.length < KNOWN.length + 2) {
    const end = text.indexOf('\n', at);
    lines.push(text.slice(at, end < 0 ? undefined : end).replace(/\r$/, ''));
    at = end < 0 ? text.length : end + 1;
  }
  if (!lines[0]?.startsWith('#!')) return { lines, skipped: 0 };
  return { lines: lines.slice(1), skipped: 1 };
}

function jsonSyntax(text: string): Directive | undefined {
  const json = text.replace(/^\uFEFF/, '').replace(/^#![^\n]*(?:\n|$)/, '');
  if (!/^[\t\n\r ]*\{/.test(json)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  const syntax = (value as Record<string, unknown>).syntax;
  return typeof syntax === 'string' ? { name: 'syntax', value: syntax, range: linesOf(1) } : undefined;
}
