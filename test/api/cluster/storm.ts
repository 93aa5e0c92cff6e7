import { randomInt } from 'node:crypto';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import {
  type Answer,
  DistributionClient,
  describe,
  type SendOptions,
} from '../../registry/distribution-client.ts';

export const REPOSITORY = 'storm/images';
/** What all writers push, at the same time. */
const SHARED = Array.from({ length: 6 }, (_, number) =>
  Buffer.alloc(30_000 + number * 7_000, `shared ${number} `),
);

export interface PushedManifest {
  readonly digest: Digest;
  readonly payload: string;
  readonly tag: string;
  /** Undefined: whether it was deleted is not known, as the answer was lost. */
  deleted: boolean | undefined;
}

/** What was acknowledged while everything happened at once. */
export class Storm {
  readonly manifests: PushedManifest[] = [];
  readonly attempted = new Set<Digest>();
  failures = 0;
  readonly #address: string;
  #over = false;

  constructor(address: string) {
    this.#address = address;
  }

  end(): void {
    this.#over = true;
  }

  /** Pushes images with shared layers, some under a tag that all writers move, until the end. */
  async write(writer: number): Promise<void> {
    const client = new DistributionClient(this.#address);
    for (let number = 0; !this.#over; number++) {
      await this.#push(client, `w${writer}-${number}`).catch(() => {
        this.failures++;
      });
    }
    client.close();
  }

  /** Deletes what was pushed, now and then. */
  async remove(): Promise<void> {
    const client = new DistributionClient(this.#address);
    while (!this.#over) {
      await new Promise((resolve) => setTimeout(resolve, randomInt(20, 120)));
      const manifest = this.manifests[randomInt(Math.max(this.manifests.length, 1))];
      if (manifest?.deleted !== false) continue;
      manifest.deleted = undefined;
      const path = `/v2/${REPOSITORY}/manifests/${manifest.digest}`;
      const answer = await client.send('DELETE', path).catch(() => undefined);
      if (answer?.status === 202) manifest.deleted = true;
    }
    client.close();
  }

  async #push(client: DistributionClient, tag: string): Promise<void> {
    const layers = [SHARED[randomInt(SHARED.length)]!, SHARED[randomInt(SHARED.length)]!, Buffer.from(tag)];
    for (const layer of layers) await pushInChunks(client, layer);
    const payload = JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      config: describe(layers[2]!, MEDIA_TYPE.ociConfig),
      layers: layers.map((layer) => describe(layer, MEDIA_TYPE.ociLayer)),
    });
    const digest = digestOf(payload);
    this.attempted.add(digest);
    const headers = { 'Content-Type': MEDIA_TYPE.ociManifest };
    const path = `/v2/${REPOSITORY}/manifests`;
    await ok(client, 'PUT', `${path}/${tag}`, 201, { body: payload, headers });
    // Before anybody may delete it: this stores it once more.
    const moved = await client
      .send('PUT', `${path}/latest`, { body: payload, headers })
      .catch(() => undefined);
    this.manifests.push({ digest, payload, tag, deleted: false });
    if (moved?.status !== 201) this.failures++;
  }
}

async function pushInChunks(client: DistributionClient, bytes: Buffer): Promise<void> {
  const begun = await ok(client, 'POST', `/v2/${REPOSITORY}/blobs/uploads/`, 202);
  const half = bytes.length >> 1;
  const location = begun.headers.location!;
  for (const [start, end] of [
    [0, half],
    [half, bytes.length],
  ] as const) {
    const headers = { 'Content-Range': `${start}-${end - 1}` };
    await ok(client, 'PATCH', location, 202, { body: bytes.subarray(start, end), headers });
  }
  await ok(client, 'PUT', `${location}?digest=${digestOf(bytes)}`, 201);
}

async function ok(
  client: DistributionClient,
  method: string,
  path: string,
  status: number,
  options?: SendOptions,
): Promise<Answer> {
  const answer = await client.send(method, path, options);
  if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
  return answer;
}
