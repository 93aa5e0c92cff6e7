import { invalid } from '#errors/errors.ts';
import { type ImageReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import { type Compression, parseCompression } from '#worker/images/compression.ts';
import type { CacheOption } from '../../build-service.ts';
import { booleanAttr } from '../../export/export-attrs.ts';

/** Where a cache goes, as `--cache-to` says it. */
export type CacheExportOptions = ExportedDocuments &
  (
    | { readonly type: 'registry'; readonly reference: ImageReference }
    | { readonly type: 'local'; readonly directory: string }
  );

interface ExportedDocuments {
  /** `max`: of all steps, what they came to; `min`: of those of which the result has layers. */
  readonly mode: 'min' | 'max';
  readonly ociTypes: boolean;
  /** As an image, whose configuration describes the cache; else as an index of blobs, which some registries refuse. */
  readonly imageManifest: boolean;
  /** undefined: as layers are compressed already, else gzip. */
  readonly compression: Compression | undefined;
  readonly forceCompression: boolean;
  /** A build does not fail when this does. */
  readonly ignoreError: boolean;
}

export interface CacheExportPlan {
  readonly exports: readonly CacheExportOptions[];
  /** In the images that the build comes to. */
  readonly inline: boolean;
}

/** Throws `invalid` for what BuildKit refuses too. */
export function parseCacheExports(options: readonly CacheOption[]): CacheExportPlan {
  const keys = options.map((option) =>
    option.type === 'registry' ? `registry ${option.attrs.ref}` : JSON.stringify(option),
  );
  const twice = options.filter(({ type }, at) => type !== 'inline' && keys.indexOf(keys[at]!) !== at);
  if (twice.length > 0) throw invalid(`duplicate cache exports [${twice.map(({ type }) => type).join(' ')}]`);
  return {
    exports: options.filter(({ type }) => type !== 'inline').map(parseExport),
    inline: options.some(({ type }) => type === 'inline'),
  };
}

function parseExport({ type, attrs }: CacheOption): CacheExportOptions {
  if (type === 'registry') {
    if (!attrs.ref) throw invalid('failed to configure registry cache exporter: missing ref');
    return { ...documents(attrs), type, reference: withDefaultTag(parseImageReference(attrs.ref)) };
  }
  if (type === 'local') {
    if (!attrs.dest)
      throw invalid('failed to configure local cache exporter: local cache exporter requires dest');
    return { ...documents(attrs), type, directory: attrs.dest };
  }
  throw invalid(`unknown cache exporter: ${JSON.stringify(type)} (there are registry, local and inline)`);
}

function documents(attrs: CacheOption['attrs']): ExportedDocuments {
  const flag = (name: string, fallback: boolean) =>
    attrs[name] === undefined ? fallback : booleanAttr(name, attrs[name]);
  const ociTypes = flag('oci-mediatypes', true);
  const imageManifest = flag('image-manifest', ociTypes);
  if (imageManifest && !ociTypes) {
    throw invalid(
      'invalid configuration for remote cache, OCI mediatypes are required for image-manifest cache format',
    );
  }
  const { compression: type, 'compression-level': level } = attrs;
  return {
    mode: attrs.mode === 'max' ? 'max' : 'min',
    ociTypes,
    imageManifest,
    compression: type === undefined && level === undefined ? undefined : parseCompression(type, level),
    forceCompression: flag('force-compression', false),
    ignoreError: flag('ignore-error', false),
  };
}
