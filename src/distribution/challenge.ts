/** One challenge of a WWW-Authenticate header (RFC 9110, 11.6.1); names in lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const PARAMETER = /\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*/y;

/**
 * Reads a header that may hold several challenges: `Bearer realm="…",scope="a,b", Basic realm="x"`. What cannot
 * be read ends the list; it never throws.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let offset = 0;
  const skip = (pattern: RegExp) => {
    while (offset < header.length && pattern.test(header[offset]!)) offset++;
  };
  for (;;) {
    skip(/[\s,]/);
    TOKEN.lastIndex = offset;
    const scheme = TOKEN.exec(header)?.[0];
    if (scheme === undefined) return challenges;
    offset += scheme.length;
    const parameters = new Map<string, string>();
    for (;;) {
      PARAMETER.lastIndex = offset;
      const match = PARAMETER.exec(header);
      if (!match) break;
      const value = match[2]?.replace(/\\(.)/g, '$1') ?? match[3] ?? '';
      parameters.set(match[1]!.toLowerCase(), value);
      offset = PARAMETER.lastIndex;
      if (header[offset] !== ',') break;
      // A comma separates parameters and challenges alike: a parameter follows only if there is its `=`.
      PARAMETER.lastIndex = offset + 1;
      if (!PARAMETER.test(header)) break;
      offset++;
    }
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
    if (header[offset] !== undefined && !/[\s,]/.test(header[offset]!)) return challenges;
  }
}
