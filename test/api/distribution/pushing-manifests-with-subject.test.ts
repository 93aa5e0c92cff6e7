import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { referrersTag } from '#oci/referrers-tag.ts';
import { describe, errorCode, pushImage, putManifest } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

// OCI distribution-spec, "Pushing Manifests with Subject", with the conditional pushes of "Referrers Tag Schema".

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

const index = (document: object) =>
  JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [], ...document });

/** Pushes an index, which needs nothing else, to a tag. */
const put = (name: string, note: string, headers: Record<string, string>) =>
  registry.client.send('PUT', `/v2/${name}/manifests/list`, {
    body: index({ annotations: { note } }),
    headers: { 'Content-Type': MEDIA_TYPE.ociIndex, ...headers },
  });
const current = async (name: string) =>
  (await registry.client.send('HEAD', `/v2/${name}/manifests/list`)).headers.etag as string;

it('answers OCI-Subject for an image and for an index, whether the subject is there or not', async () => {
  const there = await pushImage(registry.client, 'subject/image', 'v1');
  for (const payload of [there.payload, 'no such manifest']) {
    const subject = describe(payload, MEDIA_TYPE.ociManifest);
    const image = await pushImage(registry.client, 'subject/image', undefined, { subject });
    const list = await putManifest(
      registry.client,
      'subject/image',
      'list',
      index({ subject }),
      MEDIA_TYPE.ociIndex,
    );
    for (const answer of [image.answer, list]) {
      expect([answer.status, answer.headers['oci-subject']]).toEqual([201, subject.digest]);
    }
  }
  expect(there.answer.headers['oci-subject']).toBeUndefined();
});

it.each([
  ['no descriptor', 'sha256:00'],
  ['without a digest', { mediaType: MEDIA_TYPE.ociManifest, size: 1 }],
  ['with a malformed digest', { mediaType: MEDIA_TYPE.ociManifest, size: 1, digest: 'sha256:00' }],
  ['of a size that is no number', { mediaType: MEDIA_TYPE.ociManifest, size: '1', digest: digestOf('x') }],
  ['null', null],
])('refuses a subject that is %s', async (_, subject) => {
  const { answer } = await pushImage(registry.client, 'subject/invalid', 'v1', { subject });
  expect([answer.status, errorCode(answer)]).toEqual([400, 'MANIFEST_INVALID']);
});

it('says to those who keep a referrers tag that they need not', async () => {
  const tag = referrersTag(digestOf('some subject'));
  const answer = await putManifest(registry.client, 'subject/tag', tag, index({}), MEDIA_TYPE.ociIndex);
  expect(answer.headers.warning).toBe(
    '299 - "This registry has the referrers API: an index under a referrers tag is not needed."',
  );
});

it('makes a tag only if there is none, when it is asked to', async () => {
  const absent = { 'If-None-Match': '*' };
  expect((await put('condition/absent', 'first', absent)).status).toBe(201);
  const second = await put('condition/absent', 'second', absent);
  expect([second.status, errorCode(second)]).toEqual([412, 'DENIED']);
  expect(await current('condition/absent')).toBe(`"${digestOf(index({ annotations: { note: 'first' } }))}"`);
});

it('moves a tag only from where the client saw it, when it is asked to', async () => {
  expect((await put('condition/move', 'first', { 'If-Match': '*' })).status).toBe(412);
  await put('condition/move', 'first', {});
  const first = await current('condition/move');
  expect((await put('condition/move', 'second', { 'If-Match': first })).status).toBe(201);
  expect((await put('condition/move', 'third', { 'If-Match': first })).status).toBe(412);
  expect(
    (await put('condition/move', 'third', { 'If-None-Match': await current('condition/move') })).status,
  ).toBe(412);
  const either = { 'If-Match': `${first}, W/${await current('condition/move')}` };
  expect((await put('condition/move', 'third', either)).status).toBe(201);
});

it('stores nothing of what does not meet its condition', async () => {
  await put('condition/nothing', 'first', {});
  const refused = index({ annotations: { note: 'refused' } });
  expect((await put('condition/nothing', 'refused', { 'If-None-Match': '*' })).status).toBe(412);
  const answer = await registry.client.send('GET', `/v2/condition/nothing/manifests/${digestOf(refused)}`);
  expect(answer.status).toBe(404);
});

it('lets one of many who append to the same list win, and tells the others', async () => {
  await put('condition/race', 'start', {});
  const headers = { 'If-Match': await current('condition/race') };
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, number) => put('condition/race', `writer ${number}`, headers)),
  );
  const statuses = answers.map(({ status }) => status).sort();
  expect(statuses).toEqual([201, ...Array.from({ length: 7 }, () => 412)]);
});

it('refuses a malformed condition', async () => {
  const answer = await put('condition/malformed', 'first', { 'If-Match': 'no quotes' });
  expect([answer.status, errorCode(answer)]).toEqual([400, 'UNSUPPORTED']);
});
