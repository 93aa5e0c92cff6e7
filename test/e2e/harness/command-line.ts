/** Splits a command as a shell does that knows only blanks and single quotes. */
export function commandLine(text: string): string[] {
  return [...text.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
}
