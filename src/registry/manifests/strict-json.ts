const MAX_DEPTH = 100;
/** Keys and commas: what makes a document of 4 MiB expensive to take in. An index of 20,000 manifests has fewer. */
const MAX_MEMBERS = 200_000;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];

/**
 * Parses JSON that every reader understands alike: with a key twice in an object, parsers differ in which of the
 * values they take, and what was checked would not be what is run. Throws `SyntaxError` for that, for what is nested
 * deep or has very many members, and for what is no JSON.
 */
export function parseStrictJson(text: string): unknown {
  checkKeys(text);
  return JSON.parse(text);
}

/** Looks at keys and nesting alone; what else is wrong is for `JSON.parse` to say. */
function checkKeys(text: string): void {
  /** The keys of each object that is open, undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  let keys: Set<string> | undefined;
  let members = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        if (keys) addKey(keys, text.slice(at, end + 1));
        if (keys) members++;
        keys = undefined;
        at = end;
        break;
      }
      case OPEN_BRACE:
        keys = new Set();
        open.push(keys);
        break;
      case OPEN_BRACKET:
        keys = undefined;
        open.push(undefined);
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        keys = undefined;
        open.pop();
        break;
      case COMMA:
        keys = open.at(-1);
        members++;
        break;
    }
    if (open.length > MAX_DEPTH) throw new SyntaxError(`nested deeper than ${MAX_DEPTH}`);
    if (members > MAX_MEMBERS) throw new SyntaxError(`more than ${MAX_MEMBERS} members`);
  }
}

function addKey(keys: Set<string>, literal: string): void {
  const key: string = literal.includes('\\') ? JSON.parse(literal) : literal.slice(1, -1);
  if (keys.has(key)) throw new SyntaxError(`the key ${JSON.stringify(key.slice(0, 200))} is there twice`);
  keys.add(key);
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}
