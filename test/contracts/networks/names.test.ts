import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Sandbox } from '#worker/networks/sandbox.ts';
import { Lab } from './lab.ts';

describe('names on networks', () => {
  let lab: Lab;
  let web: Sandbox;
  let db: Sandbox;
  beforeAll(async () => {
    lab = await Lab.open();
    await lab.networks.create({ name: 'app' });
    await lab.networks.create({ name: 'other' });
    db = await lab.attach('db', { endpoints: [{ network: 'app', aliases: ['Store', 'all'] }] });
    web = await lab.attach('web', {
      endpoints: [{ network: 'app', aliases: ['all'], links: ['db:database'] }],
    });
  });
  afterAll(() => lab[Symbol.asyncDispose]());
  const address = (sandbox: Sandbox) => sandbox.endpoints[0]?.ipv4Address ?? '';

  test('name, alias, short id and hostname lead to a neighbour, qualified or not', async () => {
    expect(web.resolvConf).toContain('nameserver 127.0.0.11\n');
    for (const name of ['db', 'DB', 'store', 'db.app', 'db-host', db.containerId.slice(0, 12)]) {
      expect(await lab.resolve(web, 'A', name), name).toBe(address(db));
    }
    expect((await lab.resolve(web, 'A', 'all')).split(' ')).toEqual([address(db), address(web)].toSorted());
    expect(await lab.resolve(web, 'PTR', address(db))).toBe('db.app');
    expect(await lab.resolve(web, 'AAAA', 'db')).toBe('ENODATA');
    expect(await lab.resolve(web, 'A', 'nobody')).toBe('ENOTFOUND');
  });

  test('a link is known to the one who has it', async () => {
    expect(await lab.resolve(web, 'A', 'database')).toBe(address(db));
    expect(await lab.resolve(db, 'A', 'database')).toBe('ENOTFOUND');
  });

  test('who is not on a network does not see its names', async () => {
    const outsider = await lab.attach('outsider', { endpoints: [{ network: 'other' }] });
    expect(await lab.resolve(outsider, 'A', 'db')).toBe('ENOTFOUND');
    await lab.networks.connect(outsider.containerId, { network: 'app', aliases: ['late'] });
    expect(await lab.resolve(outsider, 'A', 'db')).toBe(address(db));
    expect(await lab.resolve(db, 'A', 'late')).not.toBe('ENOTFOUND');
    await lab.networks.disconnect(outsider.containerId, 'app');
    expect(await lab.resolve(db, 'A', 'late')).toBe('ENOTFOUND');
  });

  test('a container of the default network learns names when it joins another', async () => {
    const plain = await lab.attach('plain');
    expect(plain.resolvConf).not.toContain('127.0.0.11');
    const joined = await lab.networks.connect(plain.containerId, { network: 'app' });
    expect(joined.resolvConf).toContain('127.0.0.11');
    expect(await lab.resolve(joined, 'A', 'db')).toBe(address(db));
  });

  test('a new name counts at once, also for the next worker', async () => {
    const changing = await lab.attach('before', { endpoints: [{ network: 'app' }] });
    await lab.networks.rename(changing.containerId, 'after');
    expect(await lab.resolve(web, 'A', 'after')).toBe(address(changing));
    expect(await lab.resolve(web, 'A', 'before')).toBe('ENOTFOUND');
    await lab.networks.stop();
    await lab.restart([web, db, changing].map(({ containerId }) => containerId));
    expect(await lab.resolve(web, 'A', 'after')).toBe(address(changing));
  });

  test('other names are asked of the servers given, unless the network is internal', async () => {
    const server = createSocket('udp4');
    server.on('message', (query, from) => {
      const answer = Buffer.concat([query.subarray(0, query.indexOf(0, 12) + 5), RECORD]);
      answer.writeUInt16BE(0x8180, 2);
      answer.writeUInt16BE(1, 6);
      answer.writeUInt32BE(0, 8);
      server.send(answer, from.port, from.address);
    });
    server.bind(53, `127.77.${lab.block.split('.').slice(1).join('.')}`);
    await once(server, 'listening');
    try {
      const dns = [server.address().address];
      const asking = await lab.attach('asking', { endpoints: [{ network: 'app' }], dns });
      expect(await lab.resolve(asking, 'A', 'example.test')).toBe('192.0.2.7');
      await lab.networks.create({ name: 'sealed', internal: true });
      const sealed = await lab.attach('sealed1', { endpoints: [{ network: 'sealed' }], dns });
      expect(await lab.resolve(sealed, 'A', 'example.test')).toBe('ESERVFAIL');
    } finally {
      server.close();
    }
  });

  test('port 53 stays free for the container', async () => {
    const server = await lab.attach('nameserver', { endpoints: [{ network: 'app' }] });
    await lab.serve(server, 'nameserver', 53);
    expect(await lab.ask(web, 'udp', address(server), 53)).toMatch(/^nameserver /);
    expect(await lab.resolve(server, 'A', 'db')).toBe(address(db));
  });
});

/** `A 192.0.2.7` for the question's name. */
const RECORD = Buffer.from('c00c0001000100000005' + '0004c0000207', 'hex');
