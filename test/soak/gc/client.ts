import { setTimeout as sleep } from 'node:timers/promises';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { type Answer, DistributionClient } from '#test/registry/distribution-client.ts';
import type { Registries } from './registries.ts';

/** The server went away before it answered: whether it did what was asked is not known. */
export class Uncertain extends Error {}

/** How often a push begins again when what it relied on was collected. */
const PUSHES = 1000;

const OCTETS = { 'Content-Type': 'application/octet-stream' };

export interface Image {
  readonly payload: string;
  readonly digest: Digest;
  readonly blobs: readonly Buffer[];
}

/** A client that puts up with kills, and with a collector that waits for nothing. */
export class Client {
  readonly #registries: Registries;
  readonly #clients = new Map<string, DistributionClient>();

  constructor(registries: Registries) {
    this.#registries = registries;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  /** One request; throws `Uncertain` when no answer comes, or one that says to come again. */
  async send(method: string, path: string, body?: Uint8Array | string, type?: string): Promise<Answer> {
    const address = this.#registries.address();
    const client = this.#clients.get(address) ?? new DistributionClient(address);
    this.#clients.set(address, client);
    const headers = body === undefined ? {} : type ? { 'Content-Type': type } : OCTETS;
    const answer = await client
      .send(method, path, { headers, ...(body === undefined ? {} : { body }) })
      .catch((error: Error) => {
        throw new Uncertain(`${method} ${path}: ${error.message}`);
      });
    const failure = `${method} ${path}: ${answer.status} ${answer.body.toString().slice(0, 500)}`;
    // A database or a store that does not answer in time on a busy machine: come again, as a client does.
    if (answer.status === 503) throw new Uncertain(failure);
    if (answer.status >= 500) throw new Error(failure);
    return answer;
  }

  /** A request that may be made again. */
  async sendAgain(method: string, path: string, body?: Uint8Array | string, type?: string): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.send(method, path, body, type);
      } catch (error) {
        if (!(error instanceof Uncertain) || attempt === 200) throw error;
        await sleep(50);
      }
    }
  }

  /** As clients do: what is there is not sent, what another repository has is mounted. */
  async pushBlob(repository: string, other: string, bytes: Buffer): Promise<void> {
    const digest = digestOf(bytes);
    const head = await this.sendAgain('HEAD', `/v2/${repository}/blobs/${digest}`);
    if (head.status === 200) return;
    const uploads = `/v2/${repository}/blobs/uploads/`;
    if (Math.random() < 0.3) {
      const answer = await this.sendAgain('POST', `${uploads}?digest=${digest}`, bytes);
      return expectStatus(answer, 201);
    }
    const begun = await this.sendAgain('POST', `${uploads}?mount=${digest}&from=${other}`);
    if (begun.status === 201) return;
    expectStatus(begun, 202);
    const half = Math.floor(bytes.length / 2);
    const location = begun.headers.location!;
    const patched = await this.send('PATCH', location, bytes.subarray(0, half));
    if (patched.status === 404) throw new Uncertain('the upload is gone');
    expectStatus(patched, 202);
    const put = await this.send('PUT', `${location}?digest=${digest}`, bytes.subarray(half));
    // The process that had the upload was killed: what it had not made durable is gone.
    if (put.status === 404 || put.status === 400) throw new Uncertain('the upload is gone');
    expectStatus(put, 201);
  }

  /** Pushes all of an image; throws `Uncertain` when it is not known whether the manifest is there. */
  async pushImage(repository: string, other: string, reference: string, image: Image): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await Promise.all(image.blobs.map((blob) => this.pushBlob(repository, other, blob)));
      } catch (error) {
        if (!(error instanceof Uncertain) || attempt === PUSHES) throw error;
        await sleep(20);
        continue;
      }
      const path = `/v2/${repository}/manifests/${reference}`;
      const answer = await this.send('PUT', path, image.payload, MEDIA_TYPE.ociManifest);
      if (answer.status === 201) return;
      // Without any delay the collector may well have been faster than the manifest.
      if (answer.status !== 404 || attempt === PUSHES) expectStatus(answer, 201);
    }
  }

  /** The digest that a tag names now, with all of it read and compared; undefined without the tag. */
  async pull(repository: string, tag: string): Promise<string | undefined> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.sendAgain('GET', `/v2/${repository}/manifests/${tag}`);
      if (answer.status === 404) return undefined;
      expectStatus(answer, 200);
      const digest = digestOf(answer.body);
      const missing = await this.#missing(repository, answer.body.toString());
      if (missing === undefined) return digest;
      // The tag may have been moved away meanwhile; an image that stays incomplete was damaged.
      if (attempt === 10) throw new Error(`${repository}:${tag} (${digest}) lacks ${missing}`);
    }
  }

  /** The first thing that a manifest needs and the repository does not have. */
  async #missing(repository: string, manifest: string): Promise<string | undefined> {
    const { config, layers = [], manifests = [] } = JSON.parse(manifest);
    for (const { digest } of manifests) {
      const answer = await this.sendAgain('GET', `/v2/${repository}/manifests/${digest}`);
      if (answer.status !== 200) return digest;
      const missing = await this.#missing(repository, answer.body.toString());
      if (missing !== undefined) return missing;
    }
    for (const { digest } of config ? [config, ...layers] : layers) {
      const answer = await this.sendAgain('GET', `/v2/${repository}/blobs/${digest}`);
      if (answer.status === 404) return digest;
      expectStatus(answer, 200);
      if (digestOf(answer.body) !== digest) throw new Error(`${repository}: ${digest} has other bytes`);
    }
    return undefined;
  }
}

export function expectStatus(answer: Answer, status: number): void {
  if (answer.status !== status) {
    throw new Error(`expected ${status}, got ${answer.status}: ${answer.body.toString().slice(0, 500)}`);
  }
}
