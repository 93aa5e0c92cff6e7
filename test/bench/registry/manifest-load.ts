import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { Contestant } from './contestant.ts';
import { Connection, requests } from './load.ts';
import type { Measure } from './measure.ts';
import { pushBlob } from './push-blob.ts';
import { wrk } from './wrk.ts';

const REPOSITORY = 'bench/manifests';
const PATH = `/v2/${REPOSITORY}/manifests`;
const ACCEPT = MEDIA_TYPE.dockerManifest;
const headers = { 'Content-Type': MEDIA_TYPE.dockerManifest };

const config = Buffer.from('{}');
const layers = Array.from({ length: 10 }, (_, index) => Buffer.from(`layer ${index}`));
/** An image manifest of ten layers, as most are. */
const manifest = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPE.dockerManifest,
  config: describe(config, MEDIA_TYPE.dockerConfig),
  layers: layers.map((layer) => describe(layer, MEDIA_TYPE.dockerLayerGzip)),
};
const payload = Buffer.from(JSON.stringify(manifest));
let made = 0;

/** What the measures below get and put beside. */
export async function seedManifests(contestants: readonly Contestant[]): Promise<void> {
  for (const { address } of contestants) {
    for (const bytes of [config, ...layers]) await pushBlob(address, REPOSITORY, bytes);
    using connection = await Connection.to(address);
    const status = await connection.send({ method: 'PUT', path: `${PATH}/latest`, headers, body: payload });
    if (status !== 201) throw new Error(`manifest PUT: ${status}`);
  }
}

export function manifestMeasures(seconds: number): Measure[] {
  const get = (reference: string, connections: number) => (contestant: Contestant) =>
    wrk(contestant.address, `${PATH}/${reference}`, { connections, seconds, accept: ACCEPT });
  const put = (connections: number) => (contestant: Contestant) =>
    requests(contestant.address, { connections, seconds, expected: 201 }, () => ({
      method: 'PUT',
      path: `${PATH}/v${made}`,
      headers,
      body: Buffer.from(JSON.stringify({ ...manifest, number: made++ })),
    }));
  const rate = { unit: '/s', rounds: 3, warmUp: true } as const;
  return [
    {
      ...rate,
      name: 'manifest GET by tag, 16 connections',
      goal: { ratio: 4 },
      run: async (it) => (await get('latest', 16)(it)).rate,
    },
    {
      ...rate,
      name: 'manifest GET by digest, 16 connections',
      goal: { ratio: 4 },
      run: async (it) => (await get(digestOf(payload), 16)(it)).rate,
    },
    {
      ...rate,
      name: 'manifest GET by tag, 64 clients: 99th percentile',
      unit: 'ms',
      lessIsBetter: true,
      run: async (it) => (await get('latest', 64)(it)).p99,
    },
    { ...rate, name: 'manifest PUT, 1 connection', goal: { ratio: 5 }, run: put(1) },
    { ...rate, name: 'manifest PUT, 16 connections', goal: { ratio: 5 }, run: put(16) },
  ];
}

const TAGS = 1000;
const TAGGED = 'bench/tags';

/** A manifest with a thousand tags: to list them, and to delete it with them, once. */
export function tagMeasures(seconds: number): Measure[] {
  const tagged = new Set<Contestant>();
  const tag = async (contestant: Contestant) => {
    if (tagged.has(contestant)) return;
    tagged.add(contestant);
    for (const bytes of [config, ...layers]) await pushBlob(contestant.address, TAGGED, bytes);
    const names = Array.from({ length: TAGS }, (_, number) => `tag-${number}`);
    const workers = Array.from({ length: 8 }, async () => {
      using connection = await Connection.to(contestant.address);
      for (let name = names.pop(); name; name = names.pop()) {
        const path = `/v2/${TAGGED}/manifests/${name}`;
        const status = await connection.send({ method: 'PUT', path, headers, body: payload });
        if (status !== 201) throw new Error(`manifest PUT: ${status}`);
      }
    });
    await Promise.all(workers);
  };
  return [
    {
      name: '1,000 tags listed, 16 connections',
      unit: '/s',
      goal: { ratio: 10 },
      rounds: 3,
      warmUp: true,
      run: async (it) => {
        await tag(it);
        const path = `/v2/${TAGGED}/tags/list?n=${TAGS}`;
        return (await wrk(it.address, path, { connections: 16, seconds })).rate;
      },
    },
    {
      name: 'manifest with 1,000 tags deleted',
      unit: 'ms',
      lessIsBetter: true,
      goal: { ratio: 50 },
      rounds: 1,
      run: async ({ address }) => {
        using connection = await Connection.to(address);
        const path = `/v2/${TAGGED}/manifests/${digestOf(payload)}`;
        const started = performance.now();
        const status = await connection.send({ method: 'DELETE', path });
        if (status !== 202) throw new Error(`manifest DELETE: ${status}`);
        return performance.now() - started;
      },
    },
  ];
}

function describe(bytes: Buffer, mediaType: string) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}
