import { expect, it } from 'vitest';
import type { OverlayPeer } from '#worker/networks/overlay/overlay-link.ts';
import { SharedUnderlay } from '#worker/networks/overlay/shared-underlay.ts';
import type { Underlay } from '#worker/networks/overlay/underlay.ts';

const peer = (worker: string): OverlayPeer => ({
  worker,
  address: '192.0.2.1',
  publicKey: null,
  wireguardPort: null,
});

/** Who is spoken with as of now; undefined when it was removed. */
function fake() {
  let peers: string[] | undefined = [];
  const underlay: Underlay = {
    endOf: async () => ({ address: '192.0.2.9', port: 4789, mtu: 1450 }),
    addressOf: ({ address }) => address,
    async usePeers(wanted) {
      peers = wanted.map(({ worker }) => worker).toSorted();
    },
    self: async () => ({ address: '192.0.2.9', publicKey: null, wireguardPort: null }),
    async remove() {
      peers = undefined;
    },
  };
  return { underlay, peers: () => peers };
}

it('speaks with whom any of its engines speaks, until the last one is gone', async () => {
  const { underlay, peers } = fake();
  const shared = new SharedUnderlay(underlay);
  const [one, two] = [shared.part('a'), shared.part('b')];
  await one.usePeers([peer('w1'), peer('w2')]);
  await two.usePeers([peer('w2'), peer('w3')]);
  expect(peers()).toEqual(['w1', 'w2', 'w3']);
  await one.usePeers([]);
  expect(peers()).toEqual(['w2', 'w3']);
  await one.remove();
  expect(peers()).toEqual(['w2', 'w3']);
  await two.remove();
  expect(peers()).toBeUndefined();
});

it('goes with the last one, also after starts that failed before and after they made use of it', async () => {
  const { underlay, peers } = fake();
  const shared = new SharedUnderlay(underlay);
  shared.part('a');
  const failed = shared.part('b');
  await failed.usePeers([peer('w1')]);
  const one = shared.part('c');
  await one.usePeers([peer('w2')]);
  const again = shared.part('b');
  // What runs has its peers until the engine that has begun again says otherwise.
  expect(peers()).toEqual(['w1', 'w2']);
  await one.remove();
  expect(peers()).toEqual(['w1']);
  await again.remove();
  expect(peers()).toBeUndefined();
});
