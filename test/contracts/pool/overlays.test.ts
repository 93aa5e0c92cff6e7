import { expect, it } from 'vitest';
import { Wakes } from '#async/wakes.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { OverlayEndpointsRepository } from '#pool/overlay/overlay-endpoints-repository.ts';
import { OverlayNetworksRepository } from '#pool/overlay/overlay-networks-repository.ts';
import { newsOf, Overlays } from '#pool/overlay/overlays.ts';
import { PortClaimsRepository, type PortHolder } from '#pool/ports/port-claims-repository.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';

type Holder = Omit<PortHolder, 'isStarting'>;

const SELF = { address: '192.0.2.1', publicKey: null, wireguardPort: null };

function open(db: PoolDatabase, tenant = '', most: number | null = null) {
  const endpoints = new OverlayEndpointsRepository(db, tenant);
  const networks = new OverlayNetworksRepository(db, tenant);
  const options = { addressPools: [{ base: '10.9.0.0/16', size: 24 }], most: () => most };
  return { endpoints, overlays: new Overlays({ networks, endpoints }, options) };
}

const wish = (networkId: string, name: string) => ({
  networkId,
  containerId: `${name}-id`,
  endpointId: `${name}-endpoint`,
  containerName: name,
  names: [name],
});

onEachPoolDatabase('overlay networks', (create) => {
  it('have names, numbers and subnets of their own, however many are made at once', async () => {
    await using database = await create();
    const { overlays } = open(database.db);
    const made = await Promise.all(
      Array.from({ length: 12 }, (_, index) => overlays.create({ name: `n${index}`, driver: 'overlay' })),
    );
    const subnets = made.map(({ ipam }) => ipam.config[0]!.subnet);
    expect(new Set(subnets).size).toBe(12);
    expect(new Set(made.map(({ options }) => Object.values(options)[0])).size).toBe(12);
    const same = await Promise.allSettled(
      Array.from({ length: 4 }, () => overlays.create({ name: 'same', driver: 'overlay' })),
    );
    expect(same.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await expect(overlays.create({ name: 'same' })).rejects.toThrow('network with name same already exists');
    const over = { name: 'over', ipam: { config: [{ subnet: '10.9.0.0/16' }] } };
    await expect(overlays.create(over)).rejects.toThrow('Pool overlaps');
    await expect(overlays.create({ name: 'six', ipv6: true })).rejects.toThrow('no IPv6');
    const options = { 'com.docker.network.driver.overlay.vxlanid_list': 'many' };
    await expect(overlays.create({ name: 'odd', options })).rejects.toThrow('invalid VXLAN ID');
  });

  it('give each address once, to whichever workers ask at once, and not when all are taken', async () => {
    await using database = await create();
    const { overlays, endpoints } = open(database.db);
    const { id } = await overlays.create({ name: 'small', ipam: { config: [{ subnet: '10.9.9.0/28' }] } });
    for (const worker of ['w1', 'w2', 'w3']) await endpoints.sync(worker, SELF, []);
    // Of sixteen, the first, the last and the gateway's are nobody's.
    const joined = await Promise.allSettled(
      Array.from({ length: 16 }, (_, index) => endpoints.join(`w${(index % 3) + 1}`, wish(id, `c${index}`))),
    );
    const given = joined.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(new Set(given.map(({ ipv4Address }) => ipv4Address)).size).toBe(13);
    expect(given).toHaveLength(13);
    for (const { ipv4Address, macAddress } of given) {
      const bytes = ipv4Address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
      expect(macAddress).toBe(`02:42:${bytes.join(':')}`);
    }
    const failed = joined.filter((each) => each.status === 'rejected');
    for (const { reason } of failed) expect(String(reason)).toContain('no available addresses');
    const [first] = given;
    expect(await endpoints.leave('somebody else', id, first!.containerId)).toBe(false);
    const worker = `w${(Number(first!.containerName.slice(1)) % 3) + 1}`;
    expect(await endpoints.leave(worker, id, first!.containerId)).toBe(true);
    expect((await endpoints.join('w1', wish(id, 'late'))).ipv4Address).toBe(first!.ipv4Address);
    await expect(
      endpoints.join('w1', { ...wish(id, 'thief'), ipv4Address: first!.ipv4Address }),
    ).rejects.toThrow('Address already in use');
    await expect(endpoints.join('w1', { ...wish(id, 'stray'), ipv4Address: '192.0.2.7' })).rejects.toThrow(
      'does not belong to any',
    );
  });

  it('stay while somebody is on them', async () => {
    await using database = await create();
    const { overlays, endpoints } = open(database.db);
    const network = await overlays.create({ name: 'used' });
    await endpoints.sync('w1', SELF, []);
    await endpoints.join('w1', wish(network.id, 'user'));
    await expect(overlays.remove(network)).rejects.toThrow('has active endpoints (name:"user" on worker w1)');
    expect(await overlays.unused()).toEqual([]);
    await endpoints.leave('w1', network.id, 'user-id');
    const [removed, joined] = await Promise.allSettled([
      overlays.remove(network),
      endpoints.join('w1', wish(network.id, 'racer')),
    ]);
    // One of the two came first, and the other heard of it.
    expect([removed.status, joined.status].toSorted()).toEqual(['fulfilled', 'rejected']);
    await endpoints.leave('w1', network.id, 'racer-id');
    await overlays.remove(network);
    await overlays.create({ name: 'used' });
  });

  it('follow what a worker says of itself, and of nobody else', async () => {
    await using database = await create();
    const { overlays, endpoints } = open(database.db);
    const { id } = await overlays.create({ name: 'shared' });
    await endpoints.sync('w1', SELF, []);
    await endpoints.sync('w2', { ...SELF, address: '192.0.2.2' }, []);
    const kept = await endpoints.join('w1', wish(id, 'kept'));
    await endpoints.join('w1', wish(id, 'crashed'));
    const other = await endpoints.join('w2', wish(id, 'other'));
    const moved = { ...wish(id, 'moved'), ipv4Address: other.ipv4Address, macAddress: other.macAddress };
    // An address that is another's by now stays with that one.
    expect(await endpoints.sync('w1', SELF, [kept, moved])).toEqual([moved]);
    const names = async () =>
      (await overlays.state(id))!.endpoints.map(({ containerName }) => containerName).toSorted();
    expect(await names()).toEqual(['kept', 'other']);
    expect((await overlays.state(id))!.peers.map(({ address }) => address)).toEqual([
      '192.0.2.1',
      '192.0.2.2',
    ]);
    await endpoints.forgetWorker('w2');
    expect(await names()).toEqual(['kept']);
    expect(await endpoints.sync('w2', SELF, [other])).toEqual([]);
    expect(await names()).toEqual(['kept', 'other']);
  });

  it('know by its next word of itself what a worker could not tell of a new name', async () => {
    await using database = await create();
    const { overlays, endpoints } = open(database.db);
    const { id } = await overlays.create({ name: 'net' });
    await endpoints.sync('w1', SELF, []);
    const joined = await endpoints.join('w1', wish(id, 'old'));
    const before = (await endpoints.states([id]))[0]!.revision;
    await endpoints.sync('w1', SELF, [{ ...joined, containerName: 'new', names: ['new'] }]);
    const [state] = await endpoints.states([id]);
    expect(state!.endpoints).toMatchObject([{ containerName: 'new', names: ['new'] }]);
    expect(state!.revision).toBeGreaterThan(before);
  });

  it('tell what is new, at once', async () => {
    await using database = await create();
    const { overlays, endpoints } = open(database.db);
    const wakes = new Wakes();
    const network = await overlays.create({ name: 'news' });
    await endpoints.sync('w1', SELF, []);
    const first = await newsOf({ endpoints, wakes }, [network.id], undefined);
    expect(first.networks).toHaveLength(1);
    const waiting = newsOf({ endpoints, wakes }, [network.id], first.tag);
    await endpoints.join('w1', wish(network.id, 'c'));
    wakes.wake();
    const second = await waiting;
    expect(second.networks?.[0]?.endpoints).toHaveLength(1);
    expect(second.networks![0]!.revision).toBeGreaterThanOrEqual(first.networks![0]!.revision);
    await endpoints.leave('w1', network.id, 'c-id');
    await overlays.remove(network);
    expect(await newsOf({ endpoints, wakes }, [network.id], second.tag)).toMatchObject({
      networks: [],
      gone: [network.id],
    });
  });
});

onEachPoolDatabase('overlay networks of tenants', (create) => {
  it('have names of their tenant’s own and subnets of the pool’s, and are as many as it may have', async () => {
    await using database = await create();
    const { overlays: operators } = open(database.db);
    const [a, b] = [open(database.db, 'a', 3).overlays, open(database.db, 'b').overlays];
    const same = await Promise.all([operators, a, b].map((each) => each.create({ name: 'same' })));
    expect(new Set(same.map(({ ipam }) => ipam.config[0]!.subnet)).size).toBe(3);
    const made = await Promise.allSettled(
      Array.from({ length: 6 }, (_, index) => a.create({ name: `n${index}` })),
    );
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    await expect(a.create({ name: 'more' })).rejects.toThrow('not allow more than 3 overlay networks');
    expect((await b.list()).map(({ name }) => name)).toEqual(['same']);
    expect(await b.find(same[1]!.id)).toBeUndefined();
    expect(await b.state(same[1]!.id)).toBeUndefined();
  });

  it('are joined by engines of their tenant alone, whichever worker asks', async () => {
    await using database = await create();
    const [a, b, operators] = [open(database.db, 'a'), open(database.db, 'b'), open(database.db)];
    const { id } = await a.overlays.create({ name: 'wide' });
    for (const { endpoints } of [a, b, operators]) await endpoints.sync('w1', SELF, []);
    const joined = await a.endpoints.join('w1', wish(id, 'c1'));
    for (const { endpoints } of [b, operators]) {
      await expect(endpoints.join('w1', wish(id, 'c2'))).rejects.toMatchObject({ kind: 'not-found' });
      // What another engine of the same worker says of itself is of its own networks.
      expect(await endpoints.sync('w1', SELF, [])).toEqual([]);
      const theirs = {
        ...joined,
        containerId: 'c3-id',
        ipv4Address: joined.ipv4Address.replace(/\d+$/, '77'),
      };
      expect(await endpoints.sync('w1', SELF, [theirs])).toEqual([theirs]);
      expect(await endpoints.states([id])).toEqual([]);
    }
    const [state] = await a.endpoints.states([id]);
    expect(state!.endpoints.map(({ containerId }) => containerId)).toEqual(['c1-id']);
    await operators.endpoints.forgetWorker('w1');
    expect((await a.endpoints.states([id]))[0]!.endpoints).toEqual([]);
  });
});

onEachPoolDatabase('ports of gateways', (create) => {
  it('are one container’s', async () => {
    await using database = await create();
    const claims = new PortClaimsRepository(database.db);
    const port = { protocol: 'tcp', port: 8080 } as const;
    const [a, b] = ['a', 'b'].map((container) => ({ container, worker: 'w1', tenant: '' })) as [
      Holder,
      Holder,
    ];
    const both = await Promise.all([claims.claim(port, a), claims.claim(port, b)]);
    expect(both.filter((holder) => holder === undefined)).toHaveLength(1);
    const [winner, loser] = both[0] === undefined ? [a, b] : [b, a];
    expect(await claims.claim(port, loser)).toEqual({ ...winner, isStarting: true });
    expect(await claims.claim(port, winner)).toBeUndefined();
    await claims.started(winner.container);
    const holder = await claims.claim(port, loser);
    expect(holder).toEqual({ ...winner, isStarting: false });
    expect(await claims.claim({ protocol: 'udp', port: 8080 }, loser)).toBeUndefined();
    // Who was found to have ended gives way.
    expect(await claims.claim(port, loser, holder)).toBeUndefined();
    await claims.release(loser.container);
    expect(await claims.claim(port, winner)).toBeUndefined();
  });
});
