import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SlipwayError } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { parseManifestDocument } from '#registry/manifests/manifest-document.ts';

const descriptor = (text: string, mediaType: string) => ({
  mediaType,
  digest: digestOf(text),
  size: text.length,
});
const parse = (document: object, type?: string) =>
  parseManifestDocument(Buffer.from(JSON.stringify(document)), type);

it('reads what an image refers to', () => {
  const config = descriptor('config', MEDIA_TYPE.ociConfig);
  const layer = descriptor('layer', MEDIA_TYPE.ociLayer);
  const subject = descriptor('subject', MEDIA_TYPE.ociManifest);
  const annotations = { a: 'b' };
  expect(parse({ schemaVersion: 2, config, layers: [layer, layer], subject, annotations })).toEqual({
    mediaType: MEDIA_TYPE.ociManifest,
    blobs: [config.digest, layer.digest, layer.digest],
    foreignBlobs: [],
    manifests: [],
    subject: subject.digest,
    artifactType: MEDIA_TYPE.ociConfig,
    annotations,
  });
});

it('reads what an index refers to', () => {
  const manifests = [descriptor('a', MEDIA_TYPE.ociManifest), descriptor('b', MEDIA_TYPE.ociIndex)];
  expect(parse({ schemaVersion: 2, manifests, artifactType: 'application/x' })).toMatchObject({
    mediaType: MEDIA_TYPE.ociIndex,
    blobs: [],
    manifests: manifests.map(({ digest }) => digest),
    artifactType: 'application/x',
  });
});

it('answers anything at all with a document or a clear error', () => {
  const document = fc.record(
    {
      schemaVersion: fc.constantFrom(1, 2, '2'),
      mediaType: fc.oneof(fc.constantFrom(...Object.values(MEDIA_TYPE)), fc.anything()),
      config: fc.anything(),
      layers: fc.anything(),
      manifests: fc.anything(),
      subject: fc.anything(),
    },
    { requiredKeys: [] },
  );
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.json().map(Buffer.from),
    document.map((it) => Buffer.from(toJson(it))),
  );
  fc.assert(
    fc.property(bytes, (payload) => {
      try {
        parseManifestDocument(payload, undefined);
      } catch (error) {
        expect(error).toBeInstanceOf(SlipwayError);
        expect(error).toMatchObject({ kind: 'invalid', code: 'MANIFEST_INVALID' });
      }
    }),
  );
});

function toJson(value: unknown): string {
  return JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item)) ?? 'null';
}
