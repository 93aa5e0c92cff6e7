import { splitWords, unquote } from './words.ts';

/** A here-document of RUN, COPY or ADD. */
export interface Heredoc {
  /** The delimiter's name; COPY's file is called so. */
  readonly name: string;
  /** `<<-`: leading tabs are dropped. */
  readonly chomp: boolean;
  /** Whether variables in it are expanded: its delimiter has no quotes. */
  readonly expand: boolean;
  readonly content: string;
}

const HEREDOC_WORD = /^\d*<<(-?)([^<]+)$/;
const TAKES_HEREDOCS = /^(?:onbuild\s+)?(?:run|copy|add)\s/i;

/** The heredocs that a logical line opens, in order, without their contents. */
export function openedHeredocs(line: string, escapeToken: string): Omit<Heredoc, 'content'>[] {
  if (!line.includes('<<') || !TAKES_HEREDOCS.test(line)) return [];
  return splitWords(line, escapeToken).flatMap((word) => {
    const heredoc = parseHeredocWord(word, escapeToken);
    return heredoc ? [heredoc] : [];
  });
}

/** Reads `<<EOF`, `<<-"EOF"` …; undefined for any other word. */
export function parseHeredocWord(word: string, escapeToken: string): Omit<Heredoc, 'content'> | undefined {
  const match = HEREDOC_WORD.exec(word);
  if (!match) return undefined;
  const name = unquote(match[2]!, escapeToken);
  if (name === undefined || name === '' || /[\s/]/.test(name)) return undefined;
  return { name, chomp: match[1] === '-', expand: name === match[2] };
}

/** Drops the leading tabs of each line, as `<<-` asks for. */
export function chompTabs(content: string): string {
  return content.replace(/^\t+/gm, '');
}
