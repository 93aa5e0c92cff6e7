import { type Directives, readDirectives } from './directives.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { type Heredoc, openedHeredocs } from './heredoc.ts';

/** One instruction's text: continuation lines joined, comments dropped. */
export interface LogicalLine {
  /** Of the first physical line, from 1. */
  readonly line: number;
  readonly text: string;
  readonly heredocs: readonly Heredoc[];
}

export interface LexedDockerfile {
  readonly directives: Directives;
  readonly lines: readonly LogicalLine[];
  readonly warnings: readonly string[];
}

const MAX_BYTES = 4 * 1024 * 1024;
const MAX_LINE = 65_535;
const COMMENT = /^\s*#/;

/** Cuts a Dockerfile into logical lines. Throws `DockerfileError`. */
export function lex(text: string): LexedDockerfile {
  if (text.length > MAX_BYTES) throw new DockerfileError(`the Dockerfile is larger than ${MAX_BYTES} bytes`);
  const physical = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const directives = readDirectives(physical);
  const cursor = new Cursor(physical, directives.escape);
  const lines: LogicalLine[] = [];
  const warnings: string[] = [];
  for (;;) {
    const next = cursor.logicalLine();
    if (!next) break;
    if (next.text === '') continue;
    if (next.emptyContinuation) {
      warnings.push(`[WARNING]: Empty continuation line found in:\n    ${next.text}`);
    }
    const heredocs = openedHeredocs(next.text, directives.escape).map((opened) => ({
      ...opened,
      content: cursor.heredoc(opened.name, opened.chomp, next.line),
    }));
    lines.push({ line: next.line, text: next.text, heredocs });
  }
  if (warnings.length > 0) {
    warnings.push('[WARNING]: Empty continuation lines will become errors in a future release.');
  }
  return { directives, lines, warnings };
}

class Cursor {
  readonly #lines: readonly string[];
  readonly #continuation: RegExp;
  #at = 0;

  constructor(lines: readonly string[], escapeToken: '\\' | '`') {
    this.#lines = lines;
    // The escape character at the end continues the line, unless it is itself escaped.
    this.#continuation = escapeToken === '`' ? /(?<!`)`[ \t]*$/ : /(?<!\\)\\[ \t]*$/;
  }

  logicalLine(): { line: number; text: string; emptyContinuation: boolean } | undefined {
    while (this.#at < this.#lines.length && COMMENT.test(this.#lines[this.#at]!)) this.#at++;
    if (this.#at >= this.#lines.length) return undefined;
    const line = this.#at + 1;
    let text = '';
    let emptyContinuation = false;
    let joined = this.#take().trimStart();
    while (this.#continuation.test(joined)) {
      text += joined.replace(this.#continuation, '');
      joined = '';
      while (this.#at < this.#lines.length && joined === '') {
        const candidate = this.#take();
        if (COMMENT.test(candidate)) continue;
        if (candidate.trim() === '') emptyContinuation = true;
        else joined = candidate;
      }
    }
    return { line, text: (text + joined).trimEnd(), emptyContinuation };
  }

  heredoc(name: string, chomp: boolean, openedAt: number): string {
    let content = '';
    while (this.#at < this.#lines.length) {
      const line = this.#take();
      if ((chomp ? line.replace(/^\t+/, '') : line) === name) return content;
      content += `${line}\n`;
    }
    throw new DockerfileError('unterminated heredoc', openedAt);
  }

  #take(): string {
    const line = this.#lines[this.#at++]!;
    if (line.length > MAX_LINE) {
      throw new DockerfileError(`dockerfile line greater than max allowed size of ${MAX_LINE}`, this.#at);
    }
    return line;
  }
}
