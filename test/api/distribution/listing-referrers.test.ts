import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { referrersTag } from '#oci/referrers-tag.ts';
import {
  type Answer,
  describe,
  errorCode,
  json,
  pushImage,
  putManifest,
} from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

// OCI distribution-spec, "Listing Referrers", "Referrers Tag Schema" and "Enabling the Referrers API".

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

interface Entry {
  digest: Digest;
  artifactType?: string;
}

const sbom = 'application/x.sbom';
const get = (path: string) => registry.client.send('GET', path);
const entries = (answer: Answer) => (json(answer) as { manifests: Entry[] }).manifests;
const digests = (answer: Answer) => entries(answer).map(({ digest }) => digest);
const next = (answer: Answer) => /^<([^>]+)>; rel="next"$/.exec(answer.headers.link as string)?.[1];
const byDigest = (a: Entry, b: Entry) => (a.digest < b.digest ? -1 : 1);

async function all(path: string): Promise<Digest[]> {
  const found: Digest[] = [];
  for (let page: string | undefined = path; page; ) {
    const answer = await get(page);
    found.push(...digests(answer));
    page = next(answer);
  }
  return found;
}

/** A tagged image in a repository of its own. */
async function subjectIn(name: string) {
  const { payload, digest } = await pushImage(registry.client, name, 'v1');
  const subject = describe(payload, MEDIA_TYPE.ociManifest);
  return { name, digest, subject, path: `/v2/${name}/referrers/${digest}` };
}

/** An image manifest that names no subject, and how an index would list it. */
async function unbound(name: string, note: string) {
  const annotations = { note };
  const { payload } = await pushImage(registry.client, name, undefined, { artifactType: sbom, annotations });
  return { ...describe(payload, MEDIA_TYPE.ociManifest), artifactType: sbom, annotations };
}

const listUnderTag = (name: string, tag: string, manifests: readonly object[]) =>
  putManifest(
    registry.client,
    name,
    tag,
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests }),
    MEDIA_TYPE.ociIndex,
  );

it('lists what names a subject, images and indexes, as an index of descriptors', async () => {
  const { name, subject, path } = await subjectIn('refer/list');
  const more = { subject, artifactType: sbom, annotations: { made: 'by a test' } };
  const typed = await pushImage(registry.client, name, undefined, more);
  const untyped = await pushImage(registry.client, name, undefined, { subject });
  const empty = await pushImage(registry.client, name, undefined, {
    subject,
    artifactType: '',
    annotations: {},
  });
  const index = (document: object) =>
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [], subject, ...document });
  const [typedIndex, untypedIndex] = [
    index({ artifactType: sbom, annotations: { of: 'an index' } }),
    index({}),
  ];
  for (const document of [typedIndex, untypedIndex]) {
    await putManifest(registry.client, name, digestOf(document), document, MEDIA_TYPE.ociIndex);
  }

  const answer = await get(path);
  expect([answer.status, answer.headers['content-type']]).toEqual([200, MEDIA_TYPE.ociIndex]);
  expect(answer.headers['oci-filters-applied']).toBeUndefined();
  const image = ({ payload }: typeof typed) => describe(payload, MEDIA_TYPE.ociManifest);
  expect(json(answer)).toEqual({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociIndex,
    manifests: [
      { ...image(typed), artifactType: sbom, annotations: { made: 'by a test' } },
      { ...image(untyped), artifactType: MEDIA_TYPE.ociConfig },
      { ...image(empty), artifactType: MEDIA_TYPE.ociConfig, annotations: {} },
      { ...describe(typedIndex, MEDIA_TYPE.ociIndex), artifactType: sbom, annotations: { of: 'an index' } },
      describe(untypedIndex, MEDIA_TYPE.ociIndex),
    ].sort(byDigest),
  });
});

it('lists those of one type, and says that it did', async () => {
  const { name, subject, path } = await subjectIn('refer/filter');
  const typed = await pushImage(registry.client, name, undefined, { subject, artifactType: sbom });
  const untyped = await pushImage(registry.client, name, undefined, { subject });
  for (const [type, expected] of [
    [sbom, [typed.digest]],
    [MEDIA_TYPE.ociConfig, [untyped.digest]],
    ['application/x.none', []],
  ] as const) {
    const answer = await get(`${path}?artifactType=${encodeURIComponent(type)}`);
    expect(digests(answer)).toEqual(expected);
    expect(answer.headers['oci-filters-applied']).toBe('artifactType');
  }
});

it('lists referrers that were there before their subject, and after it went', async () => {
  const image = await pushImage(registry.client, 'refer/elsewhere', 'v1', { annotations: { a: 'subject' } });
  const subject = describe(image.payload, MEDIA_TYPE.ociManifest);
  const early = await pushImage(registry.client, 'refer/order', undefined, { subject });
  const path = `/v2/refer/order/referrers/${image.digest}`;
  expect(digests(await get(path))).toEqual([early.digest]);
  await putManifest(registry.client, 'refer/order', image.digest, image.payload);
  expect(digests(await get(path))).toEqual([early.digest]);
  await registry.client.send('DELETE', `/v2/refer/order/manifests/${image.digest}`);
  expect(digests(await get(path))).toEqual([early.digest]);
  await registry.client.send('DELETE', `/v2/refer/order/manifests/${early.digest}`);
  expect(digests(await get(path))).toEqual([]);
});

it('lists those of a subject with sha512', async () => {
  const image = await pushImage(registry.client, 'refer/sha512', 'v1');
  const digest = digestOf(image.payload, 'sha512');
  const subject = { ...describe(image.payload, MEDIA_TYPE.ociManifest), digest };
  const referrer = await pushImage(registry.client, 'refer/sha512', undefined, { subject });
  expect(referrer.answer.headers['oci-subject']).toBe(digest);
  expect(digests(await get(`/v2/refer/sha512/referrers/${digest}`))).toEqual([referrer.digest]);
});

it('has an empty list for what it does not know, never a 404', async () => {
  for (const name of ['refer/list', 'refer/none']) {
    for (const digest of [digestOf('unknown'), `sha256:${'0'.repeat(64)}`]) {
      const answer = await get(`/v2/${name}/referrers/${digest}`);
      expect([answer.status, json(answer)]).toEqual([
        200,
        { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [] },
      ]);
    }
  }
});

it.each(['sha256:00', 'sha256', `md5:${'0'.repeat(32)}`, `sha256:${'A'.repeat(64)}`, 'latest'])(
  'refuses the digest %s',
  async (digest) => {
    const answer = await get(`/v2/refer/list/referrers/${digest}`);
    expect([answer.status, errorCode(answer)]).toEqual([400, 'DIGEST_INVALID']);
  },
);

it('leads through more referrers than fit into an answer, each once', async () => {
  const { name, subject, path } = await subjectIn('refer/pages');
  // Three of these do not go into 4 MiB.
  const annotations = (index: number) => ({ index: String(index), long: 'x'.repeat(1_500_000) });
  const pushed: Digest[] = [];
  for (let index = 0; index < 5; index++) {
    const more = { subject, artifactType: sbom, annotations: annotations(index) };
    pushed.push((await pushImage(registry.client, name, undefined, more)).digest);
  }
  const first = await get(path);
  expect(first.body.length).toBeLessThan(4 * 1024 * 1024 + 1000);
  expect(digests(first)).toHaveLength(2);
  expect(await all(path)).toEqual(pushed.sort());
  expect(await all(`${path}?artifactType=${sbom}`)).toEqual(pushed);
});

it('lists what was recorded under the referrers tag, by clients that knew no other way', async () => {
  const { name, digest, subject, path } = await subjectIn('refer/tagged');
  const bound = await pushImage(registry.client, name, undefined, { subject, artifactType: sbom });
  const [first, second] = [await unbound(name, 'first'), await unbound(name, 'second')];
  const listed = [describe(bound.payload, MEDIA_TYPE.ociManifest), first, second, first];
  expect((await listUnderTag(name, referrersTag(digest), listed)).status).toBe(201);
  const expected = [
    { ...describe(bound.payload, MEDIA_TYPE.ociManifest), artifactType: sbom },
    first,
    second,
  ];
  expect(entries(await get(path))).toEqual(expected.sort(byDigest));
  const others = await get(`${path}?artifactType=application/x.other`);
  expect(entries(others)).toEqual([]);

  await listUnderTag(name, referrersTag(digest), [second]);
  expect(digests(await get(path))).toEqual([bound.digest, second.digest].sort());
  await registry.client.send('DELETE', `/v2/${name}/manifests/${referrersTag(digest)}`);
  expect(digests(await get(path))).toEqual([bound.digest]);
});

it('lists nothing from a referrers tag that is not there or names another subject', async () => {
  const { name, digest, path } = await subjectIn('refer/liar');
  const other = describe('another subject', MEDIA_TYPE.ociManifest);
  const bound = await pushImage(registry.client, name, undefined, { subject: other });
  const absent = describe('never pushed', MEDIA_TYPE.ociManifest);
  const elsewhere = await unbound('refer/elsewhere', 'not here');
  const listed = [describe(bound.payload, MEDIA_TYPE.ociManifest), absent, elsewhere];
  await listUnderTag(name, referrersTag(digest), listed);
  expect(digests(await get(path))).toEqual([]);

  const image = await subjectIn('refer/no-index');
  await pushImage(registry.client, image.name, referrersTag(image.digest), { annotations: { no: 'index' } });
  expect(digests(await get(image.path))).toEqual([]);
});

it('takes no more from the entries of a referrers tag than a referrer has', async () => {
  const { name, digest, path } = await subjectIn('refer/odd');
  const { annotations: _, ...plain } = await unbound(name, 'odd');
  const odd = {
    ...plain,
    artifactType: 7,
    annotations: { a: 1 },
    urls: ['http://x'],
    data: 'AAAA',
    extra: {},
  };
  expect((await listUnderTag(name, referrersTag(digest), [odd])).status).toBe(201);
  expect(entries(await get(path))).toEqual([
    { mediaType: plain.mediaType, digest: plain.digest, size: plain.size },
  ]);
});

it('merges both kinds by pages without losing or repeating one', async () => {
  const { name, digest, subject, path } = await subjectIn('refer/merged');
  const pushed: Digest[] = [];
  const long = 'x'.repeat(900_000);
  for (let index = 0; index < 6; index++) {
    const more = { subject, annotations: { index: String(index), long } };
    pushed.push((await pushImage(registry.client, name, undefined, more)).digest);
  }
  const listed: Entry[] = [];
  for (let index = 0; index < 6; index++) {
    const entry = await unbound(name, `unbound ${index}`);
    listed.push({ ...entry, annotations: { long: 'y'.repeat(500_000) } } as Entry);
  }
  await listUnderTag(name, referrersTag(digest), listed);
  expect(next(await get(path))).toBeDefined();
  expect(await all(path)).toEqual([...pushed, ...listed.map((entry) => entry.digest)].sort());
});
