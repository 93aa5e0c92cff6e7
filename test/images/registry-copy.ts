import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

interface Manifest {
  mediaType?: string;
  config: { digest: string };
  layers: { digest: string }[];
}

/** Copies an image between a registry and a folder, over the protocol that clients use. */
export class RegistryCopy {
  readonly #registry: string;
  readonly #blobs: string;

  constructor(registry: string, folder: string) {
    this.#registry = `http://${registry}/v2`;
    this.#blobs = join(folder, 'blobs');
  }

  /** Keeps an image: its blobs among those of the others, its manifest in a file, which is written last. */
  async fetch(repository: string, reference: string, manifestFile: string): Promise<void> {
    const response = await this.#ask(`/${repository}/manifests/${reference}`, {
      headers: { accept: manifestTypes.join(', ') },
    });
    const text = await response.text();
    for (const digest of blobsOf(text)) {
      const file = this.#blobFile(digest);
      if (existsSync(file)) continue;
      mkdirSync(dirname(file), { recursive: true });
      const { body } = await this.#ask(`/${repository}/blobs/${digest}`);
      const hash = createHash('sha256');
      const making = `${file}.${process.pid}`;
      await pipeline(
        Readable.fromWeb(body as never),
        async function* (source: AsyncIterable<Uint8Array>) {
          for await (const chunk of source) {
            hash.update(chunk);
            yield chunk;
          }
        },
        createWriteStream(making),
      );
      const actual = `sha256:${hash.digest('hex')}`;
      if (actual !== digest) throw new Error(`the registry served ${actual} for ${digest}`);
      renameSync(making, file);
    }
    const type = response.headers.get('content-type') ?? manifestTypes[0]!;
    writeFileSync(`${manifestFile}.new`, JSON.stringify({ type, text }));
    renameSync(`${manifestFile}.new`, manifestFile);
  }

  /** Pushes a kept image under these tags. */
  async push(repository: string, tags: readonly string[], manifestFile: string): Promise<void> {
    const { type, text } = JSON.parse(readFileSync(manifestFile, 'utf8')) as { type: string; text: string };
    for (const digest of new Set(blobsOf(text))) {
      const known = await fetch(`${this.#registry}/${repository}/blobs/${digest}`, { method: 'HEAD' });
      if (!known.ok) await this.#pushBlob(repository, digest);
    }
    for (const tag of tags) {
      await this.#ask(`/${repository}/manifests/${tag}`, {
        method: 'PUT',
        headers: { 'content-type': type },
        body: text,
      });
    }
  }

  async #pushBlob(repository: string, digest: string): Promise<void> {
    const started = await this.#ask(`/${repository}/blobs/uploads/`, { method: 'POST' });
    const url = new URL(started.headers.get('location')!, this.#registry);
    url.searchParams.set('digest', digest);
    const file = this.#blobFile(digest);
    await new Promise<void>((resolve, reject) => {
      const headers = { 'content-type': 'application/octet-stream', 'content-length': statSync(file).size };
      const sent = request(url, { method: 'PUT', headers }, (response) => {
        response.resume();
        if (response.statusCode === 201) resolve();
        else reject(new Error(`PUT ${url}: ${response.statusCode}`));
      });
      sent.once('error', reject);
      createReadStream(file).pipe(sent);
    });
  }

  async #ask(path: string, init?: RequestInit): Promise<Response> {
    const response = await fetch(`${this.#registry}${path}`, init);
    if (!response.ok)
      throw new Error(`${init?.method ?? 'GET'} ${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  #blobFile(digest: string): string {
    return join(this.#blobs, digest.replace(':', '-'));
  }
}

function blobsOf(text: string): string[] {
  const manifest = JSON.parse(text) as Manifest;
  return [manifest.config.digest, ...manifest.layers.map(({ digest }) => digest)];
}
