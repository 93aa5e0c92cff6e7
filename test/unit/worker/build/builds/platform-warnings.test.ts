import { expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { platformWarnings } from '#worker/build/builds/platform-warnings.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';

const op = { kind: 'merge' } as unknown as Edge['vertex']['op'];
const edge: Edge = { vertex: { digest: digestOf('x'), op, inputs: [], metadata: { name: 'x' } }, output: 0 };

function alone(platform?: object) {
  const config = Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', ...platform }));
  return { refs: new Map([['', edge]]), metadata: new Map([['containerimage.config', config]]) };
}

/** As clients do, whose frontend is their own. */
function saying(...Platforms: string[]) {
  const { refs, metadata } = alone();
  const request = Buffer.from(JSON.stringify({ Platforms, Labels: {}, Request: '' }));
  return { refs, metadata: new Map([...metadata, ['verifier.requestopts', request] as const]) };
}

function several(...ids: string[]) {
  const Platforms = ids.map((ID) => {
    const [os, architecture] = ID.split('/');
    return { ID, Platform: { os, architecture } };
  });
  return {
    refs: new Map(ids.map((id) => [id, edge])),
    metadata: new Map([['refs.platforms', Buffer.from(JSON.stringify({ Platforms }))]]),
  };
}

it.each([
  ['', alone(), []],
  ['linux/amd64', alone(), []],
  ['linux/amd64', alone({ 'os.version': '10.0' }), []],
  ['linux/arm64', alone(), ['Requested platform "linux/arm64" does not match result platform "linux/amd64"']],
  ['linux/amd64,linux/arm64', alone(), ['Multiple platforms requested but result is not multi-platform']],
  ['linux/amd64,linux/arm64', several('linux/arm64', 'linux/amd64'), []],
  [
    'linux/amd64,linux/arm64',
    several('linux/amd64', 'linux/386'),
    ['Requested platforms linux/amd64,linux/arm64 do not match result platforms linux/amd64,linux/386'],
  ],
  ['linux/amd64,amd64', alone(), ['Duplicate platform result requested "amd64"']],
  ['linux/amd64', { refs: new Map(), metadata: new Map() }, []],
  ['', saying('linux/amd64'), []],
  ['', saying('linux/amd64', 'linux/386'), ['Multiple platforms requested but result is not multi-platform']],
])('says of %j what is not as it was asked for', (asked, result, warnings) => {
  expect(platformWarnings(asked, result)).toEqual(warnings);
});
