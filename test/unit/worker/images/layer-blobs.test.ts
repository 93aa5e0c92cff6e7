import { expect, it } from 'vitest';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import { FULL_PACE, type Gzip, type Pace } from '#worker/images/gzip/gzip.ts';
import { LayerBlobs } from '#worker/images/layer-blobs.ts';
import type { LayerBlob, LayerRepository } from '#worker/images/layer-repository.ts';

const TAR = Buffer.from('a tar, as far as anybody looks');

interface World {
  readonly blobs: LayerBlobs;
  /** Of the layer that is compressed. */
  readonly pace: Promise<Pace>;
  busy: boolean;
  /** Lets the compression come to its end. */
  finish(): void;
}

function world(): World {
  const rows: LayerBlob[] = [];
  const layers: Pick<LayerRepository, 'blobsOf' | 'recordBlob'> = {
    blobsOf: async (diffId: Digest) => rows.filter((row) => row.diffId === diffId),
    recordBlob: async (blob: LayerBlob) => void rows.push(blob),
  };
  const pace = Promise.withResolvers<Pace>();
  const finished = Promise.withResolvers<void>();
  const gzip: Gzip = {
    library: 'zlib',
    async *compress(source, options) {
      pace.resolve(options!.pace!);
      await finished.promise;
      for await (const piece of source) yield new Uint8Array(piece);
    },
  };
  const made: World = {
    blobs: new LayerBlobs({
      content: new MemoryContentStore(),
      layers: layers as LayerRepository,
      gzip,
      isBusy: () => made.busy,
    }),
    pace: pace.promise,
    busy: true,
    finish: () => finished.resolve(),
  };
  return made;
}

async function* tar(): AsyncGenerator<Uint8Array> {
  yield TAR;
}

it('compresses what nobody waits for a block at a time while steps run, and at full pace when none does', async () => {
  const here = world();
  const blob = here.blobs.compressed(digestOf(TAR), tar, { background: true });
  const pace = await here.pace;
  expect(pace.blocksAtOnce).toBe(1);
  here.busy = false;
  expect(pace.blocksAtOnce).toBe(FULL_PACE.blocksAtOnce);
  here.busy = true;
  expect(pace.blocksAtOnce).toBe(1);
  here.finish();
  expect(await blob).toMatchObject({ diffId: digestOf(TAR), size: TAR.length });
});

it.each([
  ['wants the blob', (blobs: LayerBlobs) => blobs.compressed(digestOf(TAR), tar)],
  ['waits for what follows', async (blobs: LayerBlobs) => blobs.hurry(digestOf(TAR))],
])('goes on at full pace when somebody %s', async (_, ask) => {
  const here = world();
  const blob = here.blobs.compressed(digestOf(TAR), tar, { background: true });
  const pace = await here.pace;
  const asked = ask(here.blobs);
  await expect.poll(() => pace.blocksAtOnce).toBe(FULL_PACE.blocksAtOnce);
  here.finish();
  await Promise.all([blob, asked]);
});

it('keeps nothing of a layer whose bytes are not what they should be', async () => {
  const here = world();
  here.finish();
  const wrong = digestOf('something else');
  await expect(here.blobs.compressed(wrong, tar)).rejects.toMatchObject({ kind: 'invalid' });
  expect(await here.blobs.list(wrong)).toEqual([]);
});
