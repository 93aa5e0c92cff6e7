import type { Range } from '../llb/source-info.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { expandWords } from './expansion.ts';

/** A word that opens a heredoc. */
export interface HeredocWord {
  /** What the line that ends it reads; COPY's file is called so. */
  readonly name: string;
  /** `<<-`: leading tabs are dropped. */
  readonly chomp: boolean;
  /** Whether variables in it are expanded: its name has no quotes. */
  readonly expand: boolean;
  /** For shells: `3<<EOF`; 0 when it was not said. */
  readonly fileDescriptor: number;
}

/** A here-document of RUN, COPY or ADD. */
export interface Heredoc extends HeredocWord {
  /** With the line ends that the file has. */
  readonly content: string;
  /** The lines of its content and the one that ends it. */
  readonly range: Range;
}

const HEREDOC_WORD = /^(\d*)<<(-?)[\t\n\f\r ]*([^<]*)$/;
const unset = () => undefined;

/**
 * The heredocs that a line opens, in order. The words are found as a shell does; a line that is wrong for that, say
 * by a quote without its other, opens none. The escape is always `\`.
 */
export function openedHeredocs(line: string): HeredocWord[] {
  return wordsOf(line).flatMap((word) => parseHeredocWord(word) ?? []);
}

function wordsOf(line: string): readonly string[] {
  try {
    return expandWords(line, unset, {
      escapeToken: '\\',
      rawQuotes: true,
      rawEscapes: true,
      skipUnsetEnv: true,
    });
  } catch (error) {
    if (error instanceof DockerfileError) return [];
    throw error;
  }
}

/** Reads `<<EOF`, `<<-"EOF"` …; undefined for any other word. Throws `DockerfileError` for a name that cannot be. */
export function parseHeredocWord(word: string): HeredocWord | undefined {
  const [, fileDescriptor = '', dash, rest = ''] = HEREDOC_WORD.exec(word) ?? [];
  if (rest === '') return undefined;
  const options = { escapeToken: '\\', skipUnsetEnv: true };
  const words = expandWords(rest, unset, options);
  if (words.length !== 1) return undefined;
  const raw = expandWords(rest, unset, { ...options, rawQuotes: true });
  return {
    name: words[0]!,
    chomp: dash === '-',
    // Quotes that go away were quotes.
    expand: quotesIn(words[0]!) === quotesIn(raw.join('')),
    fileDescriptor: Number(fileDescriptor),
  };
}

/** As `parseHeredocWord`, for words that need not be heredocs. */
export function asHeredocWord(word: string): HeredocWord | undefined {
  try {
    return parseHeredocWord(word);
  } catch (error) {
    if (error instanceof DockerfileError) return undefined;
    throw error;
  }
}

function quotesIn(text: string): number {
  return text.split(/['"]/).length - 1;
}

/** Drops the leading tabs of each line, as `<<-` asks for. */
export function chompTabs(content: string): string {
  return content.replace(/(?<=^|\n)\t+/g, '');
}
