import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { type Answer, describe, pushImage, putManifest } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

// OCI distribution-spec, "Warnings".

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

/** As the specification has them: code 299, no agent, no date. */
const texts = ({ headers }: Answer) =>
  [...String(headers.warning ?? '').matchAll(/299 - "((?:[^"\\]|\\.)*)"(?:, |$)/g)].map(([, text]) => text);

it('says nothing about what is as it should be', async () => {
  const { answer } = await pushImage(registry.client, 'warn/none', 'v1');
  expect([answer.status, answer.headers.warning]).toEqual([201, undefined]);
});

it('tells how much of an index is missing', async () => {
  const { payload } = await pushImage(registry.client, 'warn/sparse', 'v1');
  const manifests = [payload, 'absent', 'absent too', 'absent'].map((text) =>
    describe(text, MEDIA_TYPE.ociManifest),
  );
  const index = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests });
  const answer = await putManifest(registry.client, 'warn/sparse', 'all', index, MEDIA_TYPE.ociIndex);
  expect(answer.status).toBe(201);
  expect(texts(answer)).toEqual(['2 of the manifests that this index names are not in the repository.']);
});

it('tells of layers that are kept elsewhere, and of a tag that nobody needs, each in its own header', async () => {
  const foreign = describe('foreign', 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip');
  const { answer } = await pushImage(registry.client, 'warn/foreign', 'v1', { layers: [foreign] });
  expect(texts(answer)).toEqual(['1 layers are to be fetched from elsewhere. Such layers are deprecated.']);

  const manifests = [describe('absent', MEDIA_TYPE.ociManifest)];
  const index = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests });
  const tag = `sha256-${digestOf('x').slice(7)}`;
  const both = await putManifest(registry.client, 'warn/foreign', tag, index, MEDIA_TYPE.ociIndex);
  expect(texts(both)).toHaveLength(2);
});
