import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';

/** Something that is stated of a result, in the words of in-toto. */
export interface Attestation {
  readonly predicateType: string;
  /** What it is called among exported files: `provenance.json`. */
  readonly filename: string;
  readonly predicate: object;
  /** The predicate when it is known which blobs layers have become, by diff ID. */
  readonly withLayers?: (blobs: ReadonlyMap<Digest, Descriptor>) => object;
  /** Only beside an image, not among exported files. */
  readonly inlineOnly: boolean;
}

export interface Subject {
  readonly name: string;
  readonly digest: Readonly<Record<string, string>>;
}

export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
export const IN_TOTO_MEDIA_TYPE = 'application/vnd.in-toto+json';

/** An in-toto statement (in-toto/attestation, spec/v1/statement.md), as bytes. */
export function statementOf(
  { predicateType, predicate }: Attestation,
  subjects: readonly Subject[],
): Uint8Array {
  return Buffer.from(JSON.stringify({ _type: STATEMENT_TYPE, predicateType, subject: subjects, predicate }));
}

/** `sha256:ab…` as in-toto and SLSA write it. */
export function digestSet(digest: Digest | string): Record<string, string> {
  const colon = digest.indexOf(':');
  return { [digest.slice(0, colon)]: digest.slice(colon + 1) };
}
