import type { Descriptor } from '#oci/descriptor.ts';
import { digestOf } from '#oci/digest.ts';

/** A manifest, an index or a configuration, byte for byte. */
export interface ExportedDocument {
  readonly descriptor: Descriptor;
  readonly payload: Uint8Array;
}

export function documentOf(
  payload: Uint8Array,
  mediaType: string,
  more: Partial<Descriptor> = {},
): ExportedDocument {
  return { descriptor: { mediaType, digest: digestOf(payload), size: payload.length, ...more }, payload };
}

export function jsonOf(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value, null, 2));
}
