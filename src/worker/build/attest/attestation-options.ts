import { invalid } from '#errors/errors.ts';
import { booleanAttr } from '../export/export-attrs.ts';

export interface ProvenanceOptions {
  readonly mode: 'min' | 'max';
  readonly version: 'v1' | 'v0.2';
  readonly builderId: string;
  readonly reproducible: boolean;
  readonly inlineOnly: boolean;
}

export interface AttestationOptions {
  readonly provenance: ProvenanceOptions | undefined;
  readonly sbom: SbomOptions | undefined;
}

export interface SbomOptions {
  /** An image that makes lists of packages; undefined: this builder does. */
  readonly generator: string | undefined;
  /** For the generator. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** `attest:provenance` and `attest:sbom` of a frontend's options: lists of `name=value`. Throws `invalid`. */
export function attestationOptions(options: Readonly<Record<string, string>>): AttestationOptions {
  const provenance = options['attest:provenance'];
  const sbom = options['attest:sbom'];
  for (const name of Object.keys(options)) {
    if (name.startsWith('attest:') && name !== 'attest:provenance' && name !== 'attest:sbom') {
      throw invalid(`unsupported attestation type ${JSON.stringify(name.slice('attest:'.length))}`);
    }
  }
  return {
    provenance: provenance === undefined ? undefined : provenanceOptions(values(provenance)),
    sbom: sbom === undefined ? undefined : sbomOptions(values(sbom)),
  };
}

function provenanceOptions(attrs: ReadonlyMap<string, string>): ProvenanceOptions | undefined {
  if (isDisabled(attrs)) return undefined;
  const mode = attrs.get('mode') ?? 'max';
  if (mode !== 'min' && mode !== 'max' && mode !== 'full')
    throw invalid(`invalid mode ${JSON.stringify(mode)}`);
  const version = attrs.get('version') ?? 'v1';
  if (version !== 'v1' && version !== 'v0.2') throw invalid(`invalid provenance SLSA version: ${version}`);
  const flag = (name: string) => booleanAttr(name, attrs.get(name) ?? 'false');
  return {
    mode: mode === 'min' ? 'min' : 'max',
    version,
    builderId: attrs.get('builder-id') ?? '',
    reproducible: flag('reproducible'),
    inlineOnly: flag('inline-only'),
  };
}

function sbomOptions(attrs: ReadonlyMap<string, string>): SbomOptions | undefined {
  if (isDisabled(attrs)) return undefined;
  const parameters = [...attrs].filter(([name]) => !['generator', 'disabled'].includes(name));
  return { generator: attrs.get('generator') || undefined, parameters: Object.fromEntries(parameters) };
}

function isDisabled(attrs: ReadonlyMap<string, string>): boolean {
  return booleanAttr('disabled', attrs.get('disabled') ?? 'false');
}

/** Fields as of CSV: one with a comma is in quotes. */
function values(text: string): ReadonlyMap<string, string> {
  const fields = [...text.matchAll(/"((?:[^"]|"")*)"|[^,]+/g)].map(
    ([field, quoted]) => quoted?.replaceAll('""', '"') ?? field,
  );
  return new Map(
    fields.map((field) => {
      const at = field.indexOf('=');
      return at < 0 ? [field.trim(), 'true'] : [field.slice(0, at).trim(), field.slice(at + 1)];
    }),
  );
}
