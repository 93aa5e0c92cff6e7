import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { describe as descriptor, errorCode, json, putManifest } from '#test/registry/distribution-client.ts';
import { NOTHING, stored } from '#test/registry/nothing-stored.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

// Manifests that are malformed, ambiguous or made to cost: each is refused with a clear answer, and leaves nothing.

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

const MIB = 2 ** 20;
const config = descriptor('{}', MEDIA_TYPE.ociConfig);
const layer = descriptor('a layer', MEDIA_TYPE.ociLayer);
const [configText, layerText] = [JSON.stringify(config), JSON.stringify(layer)];

/** An image manifest as text, so that it can be what no JSON.stringify would write. */
const image = (members: string, rest = `"config":${configText},"layers":[${layerText}]`) =>
  `{"schemaVersion":2,${rest}${members === '' ? '' : `,${members}`}}`;
const withLayer = (text: string) => image('', `"config":${configText},"layers":[${text}]`);
const layerWith = (more: object) => withLayer(JSON.stringify({ ...layer, ...more }));
const sized = (size: string) =>
  withLayer(`{"mediaType":"${layer.mediaType}","digest":"${layer.digest}","size":${size}}`);
const nested = (open: string, close: string, depth: number) => `${open.repeat(depth)}1${close.repeat(depth)}`;
const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));

const malformed: Record<string, string | Uint8Array> = {
  'nothing at all': '',
  'a manifest that ends early': image('').slice(0, -1),
  'two manifests': image('') + image(''),
  'a comment': `${image('')}//`,
  'a trailing comma': image('"annotations":{"a":"b",}'),
  'single quotes': image('').replaceAll('"', "'"),
  'a byte order mark': bytes([0xef, 0xbb, 0xbf], image('')),
  'UTF-16': Buffer.from(image(''), 'utf16le'),
  'a byte that is no UTF-8': bytes('{"schemaVersion":2,"a":"', [0xff], '"}'),
  'an overlong encoding': bytes('{"schemaVersion":2,"a":"', [0xc0, 0xaf], '"}'),
  'half a surrogate pair in UTF-8': bytes('{"schemaVersion":2,"a":"', [0xed, 0xa0, 0x80], '"}'),
  'a zero byte': bytes(image(''), [0]),
  'a zero byte in a string': bytes('{"schemaVersion":2,"a":"', [0], '"}'),

  'lists 4 million deep, without an end': '['.repeat(4 * MIB),
  'lists 2 million deep': nested('[', ']', 2 * MIB - 1),
  'objects 100,000 deep': image(`"a":${nested('{"a":', '}', 100_000)}`),
  'annotations that are deep': image(`"annotations":{"a":${nested('[', ']', 10_000)}}`),
  '300,000 keys': `{${Array.from({ length: 300_000 }, (_, key) => `"${key}":0`).join(',')}}`,
  'a million objects': `{"layers":[${'{},'.repeat(MIB)}{}]}`,
  'a million quotes': '"'.repeat(MIB),
  'a million backslashes': `{"${'\\'.repeat(MIB)}":1}`,

  'layers twice': image(`"layers":[]`),
  'config twice, one of them spelled otherwise': image(`"c\\u006fnfig":${configText}`),
  'the media type twice': image(
    `"mediaType":"${MEDIA_TYPE.ociManifest}","mediaType":"${MEDIA_TYPE.ociIndex}"`,
  ),
  'a digest twice in a layer': withLayer(layerText.replace('{', `{"digest":"${digestOf('other')}",`)),
  'an annotation twice': image('"annotations":{"a":"1","a":"2"}'),
  'Layers beside layers': image('"Layers":[]'),
  'MANIFESTS beside layers': image('"MANIFESTS":[]'),
  'a subject with a long s': image(`"\u017fubject":${configText}`),
  'Digest beside digest': layerWith({ Digest: digestOf('other') }),
  'an image and an index in one': image('"manifests":[]'),
  'an image that says it is an index': image(`"mediaType":"${MEDIA_TYPE.ociIndex}"`),
  'a prototype': '{"__proto__":{"schemaVersion":2,"config":{},"layers":[]}}',
  'a constructor': '{"constructor":{"prototype":{"schemaVersion":2}}}',

  'a list': `[${image('')}]`,
  'a string': JSON.stringify(image('')),
  'a number': '1',
  'schema 1': '{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[],"signatures":[]}',
  'a version that is a string': image('').replace(':2,', ':"2",'),
  'a version that is almost 2': image('').replace(':2,', ':2.0000001,'),
  'a media type that is a list': image(`"mediaType":["${MEDIA_TYPE.ociManifest}"]`),
  'a media type with a line break': image('"artifactType":"a/b\\nX: y"'),
  'a media type with a zero byte': image('"artifactType":"a/b\\u0000"'),
  'a media type of megabytes': image(`"artifactType":"${'a'.repeat(2 * MIB)}"`),
  'a config that is a list': image('', `"config":[${configText}],"layers":[]`),
  'a config that is null': image('', '"config":null,"layers":[]'),
  'layers that are an object': image('', `"config":${configText},"layers":{"0":${layerText},"length":1}`),
  'layers that are null': image('', `"config":${configText},"layers":null`),
  'a layer that is null': withLayer('null'),
  'a layer that is a list': withLayer('[]'),
  'a layer that is a string': withLayer(`"${layer.digest}"`),
  'annotations that are a list': image('"annotations":["a"]'),
  'an annotation that is a number': image('"annotations":{"a":1}'),
  'a subject that is a list': image(`"subject":[${configText}]`),

  'a size of 1e400': sized('1e400'),
  'a size of 2^63': sized('9223372036854775808'),
  'a size of 2^53': sized('9007199254740992'),
  'a size below zero': sized('-1'),
  'a size with a fraction': sized('1.5'),
  'a size that is a string': sized('"1"'),
  'a size that is not there': withLayer(`{"digest":"${layer.digest}"}`),

  'a digest with a path': layerWith({ digest: 'sha256:../../../../etc/passwd' }),
  'a digest in upper case': layerWith({ digest: layer.digest.toUpperCase() }),
  'a digest with a line break': layerWith({ digest: `${layer.digest}\n` }),
  'a digest that is too short': layerWith({ digest: layer.digest.slice(0, -1) }),
  'a digest that is a list': layerWith({ digest: [layer.digest] }),
  'a digest of an algorithm nobody knows': layerWith({ digest: `md5:${'0'.repeat(32)}` }),
  'a digest of the constructor': layerWith({ digest: 'constructor:0' }),
};

it.each(Object.keys(malformed))('refuses %s', async (name) => {
  const answer = await putManifest(registry.client, 'hostile/manifest', 'v1', malformed[name]!);
  expect([answer.status, errorCode(answer)]).toEqual([400, 'MANIFEST_INVALID']);
  // What is wrong is said, and what was sent not echoed at length.
  const { errors } = json(answer) as { errors: { message: string }[] };
  expect(errors[0]?.message).toMatch(/^manifest invalid: /);
  expect(answer.body.length).toBeLessThan(1500);
});

it('refuses one byte more than 4 MiB, told and untold', async () => {
  const padded = image('') + ' '.repeat(4 * MIB + 1 - image('').length);
  const told = await putManifest(registry.client, 'hostile/manifest', 'v1', padded);
  const untold = await registry.client.send('PUT', '/v2/hostile/manifest/manifests/v1', {
    body: (async function* () {
      yield Buffer.from(padded);
    })(),
    headers: { 'Content-Type': MEDIA_TYPE.ociManifest },
  });
  for (const answer of [told, untold]) {
    expect([answer.status, errorCode(answer)]).toEqual([413, 'SIZE_INVALID']);
  }
});

it.each([
  ['of a page', 'text/html'],
  ['JSON', 'application/json'],
  ['of schema 1', 'application/vnd.docker.distribution.manifest.v1+prettyjws'],
  ['long', 'a'.repeat(8000)],
])('refuses a Content-Type that is %s', async (_, type) => {
  const answer = await putManifest(registry.client, 'hostile/manifest', 'v1', image(''), type);
  expect([answer.status, errorCode(answer)]).toEqual([400, 'MANIFEST_INVALID']);
});

it('stored nothing of all that', async () => {
  expect(await stored(registry)).toEqual(NOTHING);
});
