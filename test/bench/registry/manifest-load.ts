import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { requests } from './load.ts';
import { pushBlob } from './push-blob.ts';

const SECONDS = 3;
const REPOSITORY = 'bench/manifests';

interface ManifestLoad {
  readonly getByTag: (address: string) => Promise<number>;
  readonly getByDigest: (address: string) => Promise<number>;
  readonly putWith: (connections: number) => (address: string) => Promise<number>;
}

/** An image manifest of ten layers, as most are, in each registry; the load gets it and puts ones like it. */
export async function manifestLoad(addresses: readonly string[]): Promise<ManifestLoad> {
  const config = Buffer.from('{}');
  const layers = Array.from({ length: 10 }, (_, index) => Buffer.from(`layer ${index}`));
  const describe = (bytes: Buffer, mediaType: string) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.dockerManifest,
    config: describe(config, MEDIA_TYPE.dockerConfig),
    layers: layers.map((layer) => describe(layer, MEDIA_TYPE.dockerLayerGzip)),
  };
  const payload = Buffer.from(JSON.stringify(manifest));
  const headers = { 'Content-Type': MEDIA_TYPE.dockerManifest };
  const path = `/v2/${REPOSITORY}/manifests`;
  let count = 0;

  for (const address of addresses) {
    for (const bytes of [config, ...layers]) await pushBlob(address, REPOSITORY, bytes);
    const answer = await fetch(`http://${address}${path}/latest`, { method: 'PUT', body: payload, headers });
    if (answer.status !== 201) throw new Error(`manifest PUT: ${answer.status} ${await answer.text()}`);
  }
  const get = (reference: string) => (address: string) =>
    requests(address, { connections: 16, seconds: SECONDS, expected: 200 }, () => ({
      method: 'GET',
      path: `${path}/${reference}`,
      headers: { Accept: MEDIA_TYPE.dockerManifest },
    }));
  return {
    getByTag: get('latest'),
    getByDigest: get(digestOf(payload)),
    putWith: (connections) => (address) =>
      requests(address, { connections, seconds: SECONDS, expected: 201 }, () => ({
        method: 'PUT',
        path: `${path}/v${count}`,
        headers,
        body: Buffer.from(JSON.stringify({ ...manifest, number: count++ })),
      })),
  };
}
