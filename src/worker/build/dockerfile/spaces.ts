const BEYOND_ASCII = /[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** White space as Go's `unicode.IsSpace` has it, which is not quite what `\s` is. */
export function isSpace(character: string): boolean {
  const code = character.charCodeAt(0);
  // Every character of a file comes by here.
  return code < 0x80 ? code === 0x20 || (code >= 0x09 && code <= 0x0d) : BEYOND_ASCII.test(character);
}

export function trimStart(text: string): string {
  let at = 0;
  while (at < text.length && isSpace(text[at]!)) at++;
  return text.slice(at);
}

export function trimSpace(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text[end - 1]!)) end--;
  return trimStart(text.slice(0, end));
}

/** Without the given characters at its end. A regular expression (`[…]+$`) takes length × length steps for this. */
export function trimEndOf(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text[end - 1]!)) end--;
  return text.slice(0, end);
}
