/** The status line and the fields of an HTTP/1.1 answer; names in lower case. */
export interface ResponseHead {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
  /** Bytes of the body; undefined when the fields do not say so. */
  readonly length: number | undefined;
}

/** Reads what comes before the empty line of an answer; undefined for anything that is not quite as RFC 9112 has it. */
export function parseResponseHead(text: string): ResponseHead | undefined {
  const [first = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.1 ([1-5]\d\d)(?: |$)/.exec(first)?.[1];
  if (status === undefined) return undefined;
  const fields = new Map<string, string>();
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    const key = name.toLowerCase();
    // Two lengths are how one answer is made to look like two.
    if (key === 'content-length' && fields.has(key)) return undefined;
    fields.set(key, value);
  }
  return { status: Number(status), fields, length: lengthIn(fields) };
}

function lengthIn(fields: ReadonlyMap<string, string>): number | undefined {
  const length = fields.get('content-length') ?? '';
  return /^\d{1,15}$/.test(length) && !fields.has('transfer-encoding') ? Number(length) : undefined;
}
