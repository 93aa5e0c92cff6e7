import { invalid, messageOf } from '#errors/errors.ts';
import { type Digest, isDigest } from '#oci/digest.ts';
import { isForeignLayerType, isIndexType, isManifestType, MEDIA_TYPE } from '#oci/media-type.ts';
import { parseStrictJson } from './strict-json.ts';

/** What the registry reads out of a manifest or index; the bytes themselves stay as they came. */
export interface ManifestDocument {
  readonly mediaType: string;
  /** Config and layers that have to be in the repository. Layers kept elsewhere are not among them. */
  readonly blobs: readonly Digest[];
  /** Those layers: they need not be in the repository, and stay if they are. */
  readonly foreignBlobs: readonly Digest[];
  /** The manifests of an index. */
  readonly manifests: readonly Digest[];
  readonly subject: Digest | undefined;
  /** As the Referrers API shows it: an image manifest's falls back to its config's media type. */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Parses a manifest (Docker schema 2, OCI) or index (manifest list, OCI). `contentType` is what the client said
 * it is, if anything. Throws `invalid`, `MANIFEST_INVALID`.
 */
export function parseManifestDocument(
  payload: Uint8Array,
  contentType: string | undefined,
): ManifestDocument {
  const document = parseObject(payload);
  if (document.schemaVersion !== 2) throw malformed('schemaVersion is not 2');
  const mediaType = mediaTypeOf(document, contentType);
  const subject = document.subject === undefined ? undefined : descriptor(document.subject, 'subject').digest;
  const annotations = stringMap(document.annotations);
  const artifactType = mediaTypeName(document.artifactType, 'artifactType');
  const common = { mediaType, subject, annotations };

  if (isIndexType(mediaType)) {
    if (document.layers !== undefined || document.config !== undefined) throw ambiguous();
    const manifests = list(document.manifests, 'manifests').map(({ digest }) => digest);
    return { ...common, artifactType, manifests, blobs: [], foreignBlobs: [] };
  }
  if (document.manifests !== undefined) throw ambiguous();
  const config = descriptor(document.config, 'config');
  const layers = list(document.layers, 'layers');
  const digestsOf = (some: Reference[]) => some.map(({ digest }) => digest);
  return {
    ...common,
    artifactType: artifactType || config.mediaType,
    blobs: [config.digest, ...digestsOf(layers.filter((layer) => !isForeign(layer)))],
    foreignBlobs: digestsOf(layers.filter(isForeign)),
    manifests: [],
  };
}

function parseObject(payload: Uint8Array): Json {
  let value: unknown;
  try {
    value = parseStrictJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload));
  } catch (cause) {
    throw malformed(`not a JSON document: ${messageOf(cause).slice(0, 300)}`, cause);
  }
  return object(value, 'the document');
}

/** What is read here. Go's decoder, and so most clients, would take `Layers` for `layers` as well. */
const FIELDS = new Map(
  ['schemaVersion', 'mediaType', 'artifactType', 'config', 'layers', 'manifests', 'subject']
    .concat('annotations', 'digest', 'size', 'urls')
    .map((name) => [foldCase(name), name]),
);
const LONGEST_FIELD = 'schemaVersion'.length;

/** A manifest or descriptor, of which every client reads the same fields. */
function object(value: unknown, name: string): Json {
  if (!isObject(value)) throw malformed(`${name} is not a JSON object`);
  for (const key of Object.keys(value)) {
    const field = key.length > LONGEST_FIELD ? undefined : FIELDS.get(foldCase(key));
    if (field !== undefined && field !== key)
      throw malformed(`${name} has ${JSON.stringify(key)} for ${field}`);
  }
  return value;
}

/** As Go does: letters such as the long s are those that they fold to. */
function foldCase(key: string): string {
  return key.toUpperCase().toLowerCase();
}

/** The document's own word, which has to agree with the client's; OCI documents may leave it out. */
function mediaTypeOf(document: Json, contentType: string | undefined): string {
  const own = optionalText(document.mediaType, 'mediaType');
  if (own && contentType && own !== contentType) {
    throw malformed(
      `mediaType ${JSON.stringify(own)} differs from Content-Type ${JSON.stringify(contentType)}`,
    );
  }
  const inferred = document.manifests === undefined ? MEDIA_TYPE.ociManifest : MEDIA_TYPE.ociIndex;
  const mediaType = own || contentType || inferred;
  if (!isIndexType(mediaType) && !isManifestType(mediaType)) {
    throw malformed(`unsupported manifest type ${JSON.stringify(mediaType.slice(0, 200))}`);
  }
  return mediaType;
}

interface Reference {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly urls: unknown;
}

function list(value: unknown, name: string): Reference[] {
  if (!Array.isArray(value)) throw malformed(`${name} is not a list`);
  return value.map((item, index) => descriptor(item, `${name}[${index}]`));
}

function descriptor(value: unknown, name: string): Reference {
  const { mediaType, digest, size, urls } = object(value, name);
  if (typeof digest !== 'string' || !isDigest(digest)) throw malformed(`${name} has no valid digest`);
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw malformed(`${name} has no valid size`);
  return { mediaType: mediaTypeName(mediaType, `${name}.mediaType`) ?? '', digest, urls };
}

function isForeign({ mediaType, urls }: Reference): boolean {
  return (Array.isArray(urls) && urls.length > 0) || isForeignLayerType(mediaType);
}

/** Looser than RFC 6838 has it, but nothing that a header or a column could not hold. */
function mediaTypeName(value: unknown, name: string): string | undefined {
  const text = optionalText(value, name);
  if (text !== undefined && !/^[\x20-\x7e]{0,255}$/.test(text))
    throw malformed(`${name} is not a media type`);
  return text;
}

function optionalText(value: unknown, name: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw malformed(`${name} is not a string`);
  return value;
}

function stringMap(value: unknown): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value) || !Object.values(value).every((item) => typeof item === 'string')) {
    throw malformed('annotations are not strings');
  }
  return value as Record<string, string>;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A document that is an image to one client and an index to another (CVE-2021-41190). */
function ambiguous() {
  return malformed('both an image manifest and an index');
}

function malformed(reason: string, cause?: unknown) {
  return invalid(`manifest invalid: ${reason}`, { code: 'MANIFEST_INVALID', cause });
}
