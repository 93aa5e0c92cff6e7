import { type Compression, parseCompression } from '#worker/images/compression.ts';
import { AnnotationSet } from './annotations.ts';
import { booleanAttr, epochAttr } from './export-attrs.ts';

/** The attributes that exporters of images share (BuildKit, exporter/containerimage/exptypes/keys.go). */
export interface ImageOptions {
  /** As written: `a/b:tag`; `*` stands for the frontend's. */
  readonly names: readonly string[];
  /** undefined: as the exporter sees fit. */
  readonly ociTypes: boolean | undefined;
  /** undefined: whatever a layer is compressed as already, else gzip. */
  readonly compression: Compression | undefined;
  /** Also of layers that exist already. */
  readonly forceCompression: boolean;
  /** Layers that a base image has elsewhere stay there. */
  readonly keepForeign: boolean;
  /** undefined: as the frontend says; null: none, whatever it says. */
  readonly epoch: Date | undefined | null;
  readonly rewriteTimestamp: boolean;
  /** Also those that are meant for images that are pushed; undefined: as the exporter sees fit. */
  readonly inlineAttestations: boolean | undefined;
  readonly annotations: AnnotationSet;
  /** What else was said, which some exporters know; what none knows is metadata of the result. */
  readonly rest: Readonly<Record<string, string>>;
}

/** Throws `invalid`. */
export function parseImageOptions(attrs: Readonly<Record<string, string>>): ImageOptions {
  const { annotations, rest } = AnnotationSet.parse(attrs);
  const take = (name: string): string | undefined => {
    const value = rest[name];
    delete rest[name];
    return value;
  };
  const flag = (name: string): boolean | undefined => {
    const value = take(name);
    return value === undefined ? undefined : booleanAttr(name, value);
  };
  const ociTypes = flag('oci-mediatypes');
  const type = take('compression');
  const level = take('compression-level');
  const compression = type === undefined && level === undefined ? undefined : parseCompression(type, level);
  const epoch = take('source-date-epoch');
  return {
    names: (take('name') ?? '').split(',').filter(Boolean),
    ociTypes,
    compression,
    forceCompression: flag('force-compression') ?? false,
    keepForeign: flag('prefer-nondist-layers') ?? false,
    epoch: epoch === undefined ? undefined : (epochAttr('source-date-epoch', epoch) ?? null),
    rewriteTimestamp: flag('rewrite-timestamp') ?? false,
    inlineAttestations: flag('attestation-inline'),
    annotations,
    rest,
  };
}
