import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { type Client, expectStatus, type Image, Uncertain } from './client.ts';

const REPOSITORIES = ['soak/a', 'soak/b', 'other/c'];
/** Layers that everybody shares, so that one's delete meets another's push. */
const SHARED = Array.from({ length: 8 }, (_, index) => randomBytes(1000 + index * 9000));

/** One that pushes, pulls, moves and deletes tags of its own, over layers that are everybody's. */
export class Pusher {
  readonly #client: Client;
  readonly #name: string;
  /** What each of its tags has to name, by `repository:tag`; undefined: it must not be there. */
  readonly expected = new Map<string, string | undefined>();
  readonly counts: Record<string, number> = {};

  constructor(client: Client, name: string) {
    this.#client = client;
    this.#name = name;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await this.#step();
  }

  async #step(): Promise<void> {
    const repository = any(REPOSITORIES);
    const tag = `${this.#name}-${Math.floor(Math.random() * 4)}`;
    const what = Math.random();
    if (what < 0.3) await this.#change('push', repository, tag, () => this.#push(repository, tag));
    else if (what < 0.4) await this.#change('index', repository, tag, () => this.#pushIndex(repository, tag));
    else if (what < 0.55) await this.#change('move', repository, tag, () => this.#move(repository, tag));
    else if (what < 0.7) await this.#change('untag', repository, tag, () => this.#delete(repository, tag));
    else if (what < 0.8)
      await this.#change('delete', repository, tag, () => this.#deleteImage(repository, tag));
    else await this.#pull(repository, tag);
  }

  /** Makes a change to a tag. When its outcome is not known, what the registry says afterwards is what holds. */
  async #change(
    what: string,
    repository: string,
    tag: string,
    make: () => Promise<string | undefined>,
  ): Promise<void> {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
    const key = `${repository}:${tag}`;
    try {
      this.expected.set(key, await make());
    } catch (error) {
      if (!(error instanceof Uncertain)) throw error;
      this.counts.uncertain = (this.counts.uncertain ?? 0) + 1;
      // What was cut off may still be done by a process that was not killed.
      await sleep(300);
      this.expected.set(key, await this.#client.pull(repository, tag));
    }
  }

  async #push(repository: string, tag: string): Promise<string> {
    const image = this.#image();
    await this.#client.pushImage(repository, any(REPOSITORIES), tag, image);
    return image.digest;
  }

  /** The index first: without any delay, images that nothing keeps yet would be collected before it comes. */
  async #pushIndex(repository: string, tag: string): Promise<string> {
    const images = [this.#image(), this.#image()];
    const payload = JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociIndex,
      manifests: images.map(({ digest, payload: { length: size } }) => ({
        mediaType: MEDIA_TYPE.ociManifest,
        digest,
        size,
      })),
      annotations: { nonce: `${Math.random()}` },
    });
    const path = `/v2/${repository}/manifests/`;
    const answer = await this.#client.sendAgain('PUT', `${path}${tag}`, payload, MEDIA_TYPE.ociIndex);
    expectStatus(answer, 201);
    for (const image of images) await this.#pushForIndex(repository, image);
    return digestOf(payload);
  }

  async #pushForIndex(repository: string, image: Image): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#client.pushImage(repository, any(REPOSITORIES), image.digest, image);
      } catch (error) {
        if (!(error instanceof Uncertain) || attempt === 100) throw error;
        await sleep(50);
      }
    }
  }

  /** Gives the manifest of another of its tags to this one. */
  async #move(repository: string, tag: string): Promise<string | undefined> {
    const from = `${this.#name}-${Math.floor(Math.random() * 4)}`;
    const found = await this.#client.sendAgain('GET', `/v2/${repository}/manifests/${from}`);
    if (found.status === 404) return this.expected.get(`${repository}:${tag}`);
    const path = `/v2/${repository}/manifests/${tag}`;
    const type = found.headers['content-type']!;
    expectStatus(await this.#client.send('PUT', path, found.body, type), 201);
    return digestOf(found.body);
  }

  async #delete(repository: string, tag: string): Promise<undefined> {
    const answer = await this.#client.send('DELETE', `/v2/${repository}/manifests/${tag}`);
    if (answer.status !== 404) expectStatus(answer, 202);
  }

  /** By digest: all of its tags that name this image are gone. */
  async #deleteImage(repository: string, tag: string): Promise<undefined> {
    const digest = this.expected.get(`${repository}:${tag}`);
    if (digest === undefined) return undefined;
    const same = [...this.expected].filter(
      ([key, value]) => value === digest && key.startsWith(`${repository}:`),
    );
    const forget = () => {
      for (const [key] of same) this.expected.set(key, undefined);
    };
    const path = `/v2/${repository}/manifests/${digest}`;
    const answer = await this.#client.send('DELETE', path).catch(async (error) => {
      // Asked again until it is known: it must be gone then.
      await this.#client.sendAgain('DELETE', path);
      forget();
      throw error;
    });
    if (answer.status !== 404) expectStatus(answer, 202);
    forget();
  }

  async #pull(repository: string, tag: string): Promise<void> {
    this.counts.pull = (this.counts.pull ?? 0) + 1;
    const expected = this.expected.get(`${repository}:${tag}`);
    const actual = await this.#client.pull(repository, tag);
    if (actual !== expected) throw new Error(`${repository}:${tag} is ${actual}, expected ${expected}`);
  }

  /** Of its own: no other pusher has the same manifest. */
  #image(): Image {
    const layers = SHARED.filter(() => Math.random() < 0.3);
    if (Math.random() < 0.3) layers.push(randomBytes(2000));
    const config = Buffer.from(JSON.stringify({ by: this.#name, nonce: Math.floor(Math.random() * 50) }));
    const describe = (bytes: Buffer, mediaType: string) => ({
      mediaType,
      digest: digestOf(bytes),
      size: bytes.length,
    });
    const payload = JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      config: describe(config, MEDIA_TYPE.ociConfig),
      layers: layers.map((bytes) => describe(bytes, MEDIA_TYPE.ociLayer)),
    });
    const digest: Digest = digestOf(payload);
    return { payload, digest, blobs: [config, ...layers] };
  }
}

function any<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)]!;
}
