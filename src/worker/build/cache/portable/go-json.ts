/** A value to be written as Go's encoding/json does. Members that are undefined are left out. */
export type GoValue =
  | string
  | number
  | bigint
  | boolean
  | readonly GoValue[]
  | { readonly [name: string]: GoValue | undefined };

/** The bytes that Go makes of a structure whose fields are in this order: digests are of them. */
export function goJson(value: GoValue): string {
  if (typeof value === 'string') return text(value);
  if (typeof value !== 'object') return String(value);
  if (isList(value)) return `[${value.map(goJson).join(',')}]`;
  const members = Object.entries(value).flatMap(([name, member]) =>
    member === undefined ? [] : [`${text(name)}:${goJson(member)}`],
  );
  return `{${members.join(',')}}`;
}

/** A member with Go's `omitempty`: undefined where Go would leave it out. */
export function unlessZero<T extends string | number | bigint | boolean | readonly GoValue[]>(
  value: T | undefined,
): T | undefined {
  const empty = Array.isArray(value) ? value.length === 0 : !value;
  return empty ? undefined : value;
}

const ESCAPED = /[<>&\u2028\u2029]/g;

function text(value: string): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value.toWellFormed()).replace(ESCAPED, escaped);
}

function isList(value: object): value is readonly GoValue[] {
  return Array.isArray(value);
}
