import { expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { SharedLayersSource, sharedLayers } from '#worker/build/drivers/source/shared-layers-source.ts';
import type { SourceOp } from '#worker/build/llb/op.ts';
import { vertex } from '#worker/build/llb/vertex.ts';
import { EMPTY } from '#worker/build/solve/ref.ts';

const diffId = digestOf('files');
const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';

function named(blob: string) {
  const op = sharedLayers([{ diffId, descriptor: { mediaType, digest: digestOf(blob), size: blob.length } }]);
  return vertex<SourceOp>(op, [], { metadata: { name: 'input' } });
}

it('who names other blobs for the same files gets those, and nobody else does', async () => {
  const source = new SharedLayersSource({ ref: () => EMPTY });
  const digestFor = async (blob: string) => (await source.cacheMap(named(blob))).digest;
  expect(named('theirs').op.identifier).toBe(named('ours').op.identifier);
  expect(await digestFor('ours')).toBe(await digestFor('ours'));
  expect(await digestFor('theirs')).not.toBe(await digestFor('ours'));
});

it('takes no layers for others', async () => {
  const source = new SharedLayersSource({ ref: () => EMPTY });
  const { op } = named('ours');
  const other = vertex<SourceOp>({ ...op, identifier: `slipway-layers://${digestOf('others')}` }, [], {
    metadata: { name: 'input' },
  });
  await expect(source.run(other)).rejects.toMatchObject({ kind: 'invalid' });
});
