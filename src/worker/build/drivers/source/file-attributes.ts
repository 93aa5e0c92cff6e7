import { invalid } from '#errors/errors.ts';

/** How a single file is to be: what BuildKit calls `http.filename`, `http.perm`, `http.uid` and `http.gid`. */
interface FileAttributes {
  readonly filename: string | undefined;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Throws `invalid`. */
export function fileAttributes(attrs: Readonly<Record<string, string>>): FileAttributes {
  return {
    filename: attrs['http.filename'] || undefined,
    mode: numberOf(attrs, 'http.perm') || 0o600,
    uid: numberOf(attrs, 'http.uid'),
    gid: numberOf(attrs, 'http.gid'),
  };
}

/** As Go's ParseInt with base 0 has it: `0600` and `0o600` are octal. */
function numberOf(attrs: Readonly<Record<string, string>>, name: string): number {
  const text = attrs[name] || '0';
  const octal = /^0o?([0-7]+)$/i.exec(text);
  const value = octal ? Number.parseInt(octal[1]!, 8) : Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw invalid(`invalid ${name}: ${text}`);
  return value;
}
