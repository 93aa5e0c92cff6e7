/** One paragraph of fields, their names in lower case (Debian policy 5.1; RFC 822 for Python's metadata). */
export type Fields = ReadonlyMap<string, string>;

/** The paragraphs of a control file, up to the first blank line of each. Lines that make no sense are passed over. */
export function* paragraphsOf(text: string): Generator<Fields> {
  let fields = new Map<string, string>();
  let last: string | undefined;
  for (const line of text.split('\n')) {
    if (line.trim() === '') {
      if (fields.size > 0) yield fields;
      fields = new Map();
      last = undefined;
    } else if (/^[ \t]/.test(line)) {
      if (last !== undefined) fields.set(last, `${fields.get(last)}\n${line.trim()}`);
    } else {
      const colon = line.indexOf(':');
      if (colon <= 0) continue;
      last = line.slice(0, colon).toLowerCase();
      // A field that comes again (Python's classifiers) keeps its first value.
      if (fields.has(last)) last = undefined;
      else fields.set(last, line.slice(colon + 1).trim());
    }
  }
  if (fields.size > 0) yield fields;
}
