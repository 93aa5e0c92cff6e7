import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Credentials } from '#distribution/authorizer.ts';
import type { Registries } from '#distribution/registries.ts';
import type { Digest } from '#oci/digest.ts';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { Publication } from '../jobs/job-queue.ts';
import { JobFailure } from './job-runner.ts';

/** What an artifact of a job is (OCI image-spec, "Guidelines for Artifact Usage"). */
const ARTIFACT_TYPE = 'application/vnd.slipway.job.artifact.v1';
const EMPTY = { mediaType: 'application/vnd.oci.empty.v1+json', payload: Buffer.from('{}') };

interface Ports {
  readonly registries: Registries;
  readonly credentials: (domain: string) => Promise<Credentials | undefined>;
}

/** Makes OCI artifacts of what containers leave, and pushes them by digest. In `directory` while it goes on. */
export class ArtifactPusher {
  readonly #ports: Ports;
  readonly #directory: string;
  readonly #maxBytes: number;

  constructor(ports: Ports, options: { directory: string; maxBytes: number }) {
    this.#ports = ports;
    this.#directory = options.directory;
    this.#maxBytes = options.maxBytes;
  }

  /** Of a tar, under a name with a tag that is not given yet. */
  async push(
    name: string,
    tar: AsyncIterable<Uint8Array>,
    { path, signal }: { path: string; signal: AbortSignal },
  ): Promise<Publication> {
    const { domain, path: repository, tag = 'latest' } = parseImageReference(name);
    const reference = parseImageReference(name);
    const pusher = this.#ports.registries.pusher(reference, await this.#ports.credentials(domain));
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const file = join(this.#directory, randomUUID());
    try {
      const blob = await this.#compress(tar, file, signal);
      if (!(await pusher.hasBlob(blob.digest, { signal }))) {
        await pusher.putBlob(blob, () => createReadStream(file), { signal });
      }
      const config = {
        mediaType: EMPTY.mediaType,
        digest: digestOf(EMPTY.payload),
        size: EMPTY.payload.length,
      };
      if (!(await pusher.hasBlob(config.digest, { signal }))) {
        await pusher.putBlob(
          config,
          async function* () {
            yield EMPTY.payload;
          },
          { signal },
        );
      }
      const title = `${basename(path) || 'root'}.tar.gz`;
      const manifest = {
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.ociManifest,
        artifactType: ARTIFACT_TYPE,
        config,
        layers: [
          {
            mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
            ...blob,
            annotations: { 'org.opencontainers.image.title': title },
          },
        ],
      };
      const payload = Buffer.from(JSON.stringify(manifest));
      const digest = digestOf(payload);
      await pusher.putManifest(digest, { mediaType: MEDIA_TYPE.ociManifest, payload }, { signal });
      return { repository: `${domain}/${repository}`, digest, tags: [tag] };
    } finally {
      await rm(file, { force: true });
    }
  }

  async #compress(
    tar: AsyncIterable<Uint8Array>,
    file: string,
    signal: AbortSignal,
  ): Promise<{ digest: Digest; size: number }> {
    const hash = createHash('sha256');
    let size = 0;
    const max = this.#maxBytes;
    await pipeline(
      tar,
      createGzip(),
      async function* (source: AsyncIterable<Uint8Array>) {
        for await (const bytes of source) {
          size += bytes.length;
          if (size > max) throw new JobFailure(`an artifact is larger than ${max} bytes`);
          hash.update(bytes);
          yield bytes;
        }
      },
      createWriteStream(file, { mode: 0o600 }),
      { signal },
    );
    return { digest: `sha256:${hash.digest('hex')}` as Digest, size };
  }
}
