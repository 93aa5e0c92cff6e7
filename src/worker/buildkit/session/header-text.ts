import type { Metadata } from '../grpc/metadata.ts';

/**
 * Adds values under a name. Headers are ASCII: where one value is not, all go as Go's `url.QueryEscape` has them, and a
 * second header says so.
 */
export function addEncoded(metadata: Metadata, name: string, values: readonly string[]): Metadata {
  if (values.length === 0) return metadata;
  if (values.every((value) => /^[\x20-\x7e]*$/.test(value))) return metadata.add(name, ...values);
  metadata.add(`${name}-encoded`, '1');
  return metadata.add(name, ...values.map(queryEscape));
}

function queryEscape(value: string): string {
  return encodeURIComponent(value)
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}

/** The values that `addEncoded` added under a name. */
export function decodedValues(metadata: Metadata, name: string): string[] {
  const values = metadata.all(name);
  if (metadata.get(`${name}-encoded`) === undefined) return [...values];
  return values.map((value) => decodeURIComponent(value.replaceAll('+', ' ')));
}
