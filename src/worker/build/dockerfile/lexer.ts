import type { Range } from '../llb/source-info.ts';
import { DirectiveReader, escapeTokenOf } from './directives.ts';
import { DockerfileError, locate } from './dockerfile-error.ts';
import { type Heredoc, type HeredocWord, openedHeredocs } from './heredoc.ts';
import { LogicalText } from './logical-text.ts';
import { isEmpty, PhysicalLines, withoutLineEnd } from './physical-lines.ts';
import { linesOf } from './ranges.ts';
import { trimEndOf, trimSpace, trimStart } from './spaces.ts';
import { type PlacedStatement, parseStatement, takesHeredocs } from './statement.ts';

/** An instruction with empty lines among those that continue it, which BuildKit means to refuse one day. */
export interface EmptyContinuation {
  readonly text: string;
  /** Its last line. */
  readonly range: Range;
}

export interface LexedDockerfile {
  readonly escape: '\\' | '`';
  readonly statements: readonly PlacedStatement[];
  readonly emptyContinuations: readonly EmptyContinuation[];
}

const MAX_LENGTH = 4 * 1024 * 1024;
/** Each is an entry of the image's history: no image has as many. */
const MAX_STATEMENTS = 10_000;

/** Cuts a Dockerfile into statements. Throws `DockerfileError`. */
export function lex(text: string): LexedDockerfile {
  if (text.length > MAX_LENGTH) {
    throw new DockerfileError(`the Dockerfile is larger than ${MAX_LENGTH} bytes`);
  }
  return new Lexer(text).all();
}

class Lexer {
  readonly #lines: PhysicalLines;
  readonly #directives = new DirectiveReader();
  readonly #statements: PlacedStatement[] = [];
  readonly #emptyContinuations: EmptyContinuation[] = [];
  #escape: '\\' | '`' = '\\';
  #comments: string[] = [];

  constructor(text: string) {
    this.#lines = new PhysicalLines(text);
  }

  all(): LexedDockerfile {
    for (let raw = this.#lines.next(); raw !== undefined; raw = this.#lines.next()) {
      if (this.#isStatement(raw)) this.#statement(raw);
    }
    if (this.#statements.length === 0) {
      throw new DockerfileError('file with no instructions', linesOf(Math.max(this.#lines.read, 1)));
    }
    return {
      escape: this.#escape,
      statements: this.#statements,
      emptyContinuations: this.#emptyContinuations,
    };
  }

  /** Takes note of comments and directives; what is neither begins a statement. */
  #isStatement(raw: string): boolean {
    const line = trimStart(withoutLineEnd(raw));
    const directive = this.#directives.read(line);
    if (directive) {
      if (directive.name === 'escape') this.#escape = escapeTokenOf(directive);
      return false;
    }
    if (line.startsWith('#')) {
      const comment = trimSpace(raw.slice(1));
      if (comment === '') this.#comments = [];
      else this.#comments.push(comment);
      return false;
    }
    return line !== '';
  }

  #statement(firstLine: string): void {
    const firstNumber = this.#lines.read;
    const logical = this.#logicalText(firstLine);
    const text = logical.text;
    const range = () => linesOf(firstNumber, this.#lines.read);
    if (this.#statements.length === MAX_STATEMENTS) {
      throw new DockerfileError(`the Dockerfile has more than ${MAX_STATEMENTS} instructions`, range());
    }
    const statement = locate(range(), () => parseStatement(text, this.#escape));
    const opened =
      takesHeredocs(statement) && text.includes('<<') ? locate(range(), () => openedHeredocs(text)) : [];
    const heredocs = opened.map((word) => this.#heredoc(word, firstNumber));
    this.#statements.push({
      ...statement,
      text: trimSpace(text),
      untrimmed: trimStart(text),
      heredocs,
      comments: this.#comments,
      range: range(),
      flagRanges: statement.flags.map(({ start, end }) => logical.rangeOf(start, end)),
    });
    this.#comments = [];
  }

  /** Joins the lines that an escape at the end continues; comments and empty lines among them are passed over. */
  #logicalText(firstLine: string): LogicalText {
    const logical = new LogicalText();
    const line = withoutLineEnd(firstLine);
    const stripped = trimStart(line);
    let rest = this.#continued(stripped);
    logical.add(rest ?? stripped, this.#lines.read, line.length - stripped.length);
    let empty = false;
    while (rest !== undefined) {
      const raw = this.#lines.next();
      if (raw === undefined) break;
      const next = withoutLineEnd(raw);
      if (trimStart(next).startsWith('#')) continue;
      if (isEmpty(next)) {
        empty = true;
        continue;
      }
      rest = this.#continued(next);
      logical.add(rest ?? next, this.#lines.read, 0);
    }
    if (empty) this.#emptyContinuations.push({ text: logical.text, range: linesOf(this.#lines.read) });
    return logical;
  }

  /** The line without the escape that continues it; undefined when none does. An escaped escape is not one. */
  #continued(line: string): string | undefined {
    const end = trimEndOf(line, ' \t');
    if (!end.endsWith(this.#escape) || end.at(-2) === this.#escape) return undefined;
    return end.slice(0, -1);
  }

  #heredoc(word: HeredocWord, openedAt: number): Heredoc {
    const first = this.#lines.read + 1;
    const content: string[] = [];
    for (let raw = this.#lines.next(); raw !== undefined; raw = this.#lines.next()) {
      const line = withoutLineEnd(raw);
      if ((word.chomp ? line.replace(/^\t+/, '') : line) === word.name) {
        return { ...word, content: content.join(''), range: linesOf(first, this.#lines.read) };
      }
      content.push(raw);
    }
    throw new DockerfileError('unterminated heredoc', linesOf(openedAt, this.#lines.read));
  }
}
