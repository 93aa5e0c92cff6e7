import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { begin, DistributionClient, json, pushBlob } from '../../registry/distribution-client.ts';
import { Cluster, type Storage } from './cluster.ts';
import { REPOSITORY, Storm } from './storm.ts';

/** Several processes over one PostgreSQL and one store are one registry. */

describe.each<Storage>(['filesystem', 's3'])('three processes on PostgreSQL and %s', (storage) => {
  let cluster: Cluster;
  let client: DistributionClient;

  beforeAll(async () => {
    cluster = await Cluster.start(storage);
    client = new DistributionClient(cluster.balancer.address);
  });
  afterAll(async () => {
    client?.close();
    await cluster?.[Symbol.asyncDispose]();
  });

  it('take a blob whose chunks come to another process each time', async () => {
    const bytes = Buffer.alloc(7 * 1_000_000).map((_, index) => (index * 7 + (index >> 12)) & 255);
    const digest = digestOf(bytes);
    const location = await begin(client, 'cluster/hopping');
    for (let start = 0; start < bytes.length; start += 1_000_000) {
      const body = bytes.subarray(start, start + 1_000_000);
      const headers = { 'Content-Range': `${start}-${start + body.length - 1}` };
      const answer = await client.send('PATCH', location, { body, headers });
      expect([answer.status, answer.headers.range]).toEqual([202, `0-${start + body.length - 1}`]);
      const status = await client.send('GET', location);
      expect([status.status, status.headers.range]).toEqual([204, answer.headers.range]);
      // An odd number of requests a round: no process sees the same part of each.
      await client.send('GET', '/v2/');
      await client.send('GET', '/v2/');
    }
    const put = await client.send('PUT', `${location}?digest=${digest}`);
    expect(put.status).toBe(201);
    expect(cluster.balancer.served.size).toBe(3);
    for (const member of cluster.members) {
      const pulled = await member.client.send('GET', `/v2/cluster/hopping/blobs/${digest}`);
      expect(digestOf(pulled.body)).toBe(digest);
    }
  });

  it('show what came to one of them in all of them at once', async () => {
    const [one, two, three] = cluster.members.map((member) => member.client);
    const blob = await pushBlob(one!, 'cluster/shown', 'a blob');
    expect((await two!.send('HEAD', `/v2/cluster/shown/blobs/${blob}`)).status).toBe(200);
    expect((await three!.send('DELETE', `/v2/cluster/shown/blobs/${blob}`)).status).toBe(202);
    expect((await one!.send('HEAD', `/v2/cluster/shown/blobs/${blob}`)).status).toBe(404);
  });

  it('say that the database is away, keep what they have, and go on when it is back', async () => {
    const [member, other] = cluster.members as [Cluster['members'][0], Cluster['members'][0]];
    const location = await begin(member.client, 'cluster/away');
    await member.client.send('PATCH', location, { body: 'before ' });
    const ready = async () => (await member.client.send('GET', '/readyz')).status;
    expect(await ready()).toBe(200);
    await cluster.postgres.stop('SIGQUIT');
    const refused = await member.client.send('PATCH', location, { body: 'lost' });
    expect(refused.status).toBe(503);
    await expect.poll(ready, { timeout: 45_000 }).toBe(503);
    await cluster.postgres.resume();
    await expect.poll(ready, { timeout: 45_000 }).toBe(200);
    await other.client.send('PATCH', location, { body: 'after' });
    const digest = digestOf('before after');
    const put = await member.client.send('PUT', `${location}?digest=${digest}`);
    expect([put.status, put.body.toString()]).toEqual([201, '']);
  });

  it('go on with an upload whose process was killed in the middle of a chunk', async () => {
    const bytes = Buffer.alloc(600_000, 'some bytes of a blob ');
    const [victim, other] = cluster.members as [Cluster['members'][0], Cluster['members'][0]];
    const location = await begin(other.client, 'cluster/killed');
    const headers = { 'Content-Range': '0-199999' };
    await other.client.send('PATCH', location, { body: bytes.subarray(0, 200_000), headers });
    const [host, port] = victim.address.split(':');
    const sent = request({
      host,
      port,
      method: 'PATCH',
      path: location,
      headers: { 'Content-Length': 400_000 },
    });
    sent.on('error', () => {});
    sent.write(bytes.subarray(200_000, 500_000));
    const held = () =>
      cluster.query(`select id from uploads where repository = 'cluster/killed' and holder is not null`);
    await expect.poll(held, { timeout: 45_000 }).toHaveLength(1);
    const restarted = cluster.crash(victim);

    const status = await other.client.send('GET', location);
    expect(status.status).toBe(204);
    const offset = Number(status.headers.range!.split('-')[1]) + 1;
    expect(offset).toBeGreaterThanOrEqual(200_000);
    const rest = { 'Content-Range': `${offset}-${bytes.length - 1}` };
    const digest = digestOf(bytes);
    const put = await other.client.send('PUT', `${location}?digest=${digest}`, {
      body: bytes.subarray(offset),
      headers: rest,
    });
    expect([put.status, put.body.toString()]).toEqual([201, '']);
    await restarted;
    const pulled = await victim.client.send('GET', `/v2/cluster/killed/blobs/${digest}`);
    expect(digestOf(pulled.body)).toBe(digest);
  });

  it('keep what they acknowledged, whole, while they are killed during pushes and deletes', async () => {
    const storm = new Storm(cluster.balancer.address);
    const work = [1, 2, 3, 4].map((writer) => storm.write(writer)).concat(storm.remove());
    for (const victim of cluster.members) {
      const before = storm.manifests.length;
      await expect.poll(() => storm.manifests.length, { timeout: 45_000 }).toBeGreaterThan(before + 8);
      await cluster.crash(victim, { after: 300 });
    }
    await sleep(500);
    storm.end();
    await Promise.all(work);

    expect(storm.manifests.filter(({ deleted }) => deleted).length).toBeGreaterThan(0);
    const names: unknown[] = [];
    for (const { client: own } of cluster.members) {
      for (const { digest, payload, tag, deleted } of storm.manifests) {
        if (deleted === undefined) continue;
        for (const reference of [digest, tag]) {
          const answer = await own.send('GET', `/v2/${REPOSITORY}/manifests/${reference}`);
          if (deleted) expect([tag, answer.status]).toEqual([tag, 404]);
          else expect([tag, answer.body.toString()]).toEqual([tag, payload]);
        }
      }
      const tags = json(await own.send('GET', `/v2/${REPOSITORY}/tags/list?n=10000`)) as { tags: string[] };
      names.push(tags.tags);
    }
    expect(names[1]).toEqual(names[0]);
    expect(names[2]).toEqual(names[0]);
    await everyImageIsWhole(names[0] as string[]);
  });

  /** Whatever is listed, acknowledged or not, is there with all it names. */
  async function everyImageIsWhole(tags: readonly string[]): Promise<void> {
    const blobs = new Set<string>();
    for (const [index, tag] of tags.entries()) {
      const own = cluster.members[index % 3]!.client;
      const answer = await own.send('GET', `/v2/${REPOSITORY}/manifests/${tag}`);
      expect([tag, answer.status]).toEqual([tag, 200]);
      const { config, layers } = json(answer) as { config: { digest: string }; layers: { digest: string }[] };
      for (const { digest } of [config, ...layers]) blobs.add(digest);
    }
    for (const [index, digest] of [...blobs].entries()) {
      const own = cluster.members[index % 3]!.client;
      const pulled = await own.send('GET', `/v2/${REPOSITORY}/blobs/${digest}`);
      expect([digest, digestOf(pulled.body)]).toEqual([digest, digest]);
    }
  }
});
