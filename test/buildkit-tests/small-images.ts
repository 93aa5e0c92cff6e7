import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeTar } from '#tar/writer.ts';
import { RegistryCopy } from '../images/registry-copy.ts';

const DOCKER = 'application/vnd.docker';

/** Images of the tests' authors that have one property each; they are made here. */
export async function pushSmallImages(registry: string, folder: string): Promise<void> {
  await pushImage(registry, folder, 'tonistiigi/test', 'nolayers', []);
  // Its first layer is one that registries do not keep.
  const foreign = await layer('foreign');
  const own = await layer('own');
  // A program that tests of privileged commands run; what they show needs the real one.
  await pushImage(registry, folder, 'tonistiigi/hellofs', 'latest', [await layer('hellofs')]);
  await pushImage(registry, folder, 'cpuguy83/buildkit-foreign', 'latest', [
    {
      ...foreign,
      mediaType: `${DOCKER}.image.rootfs.foreign.diff.tar`,
      urls: ['https://example.invalid/layer'],
    },
    own,
  ]);
}

interface Layer {
  readonly bytes: Buffer;
  readonly diffId: string;
  readonly mediaType: string;
  readonly urls?: readonly string[];
}

async function layer(name: string): Promise<Layer> {
  const content = Buffer.from(`${name}\n`);
  const entry = {
    path: name,
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 0,
    size: content.length,
  } as const;
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeTar([{ entry, body: [content] }])) chunks.push(chunk);
  const tar = Buffer.concat(chunks);
  return { bytes: tar, diffId: digest(tar), mediaType: `${DOCKER}.image.rootfs.diff.tar` };
}

async function pushImage(
  registry: string,
  folder: string,
  repository: string,
  tag: string,
  layers: readonly Layer[],
): Promise<void> {
  const blobs = join(folder, 'blobs');
  mkdirSync(blobs, { recursive: true });
  const keep = (bytes: Buffer, mediaType: string) => {
    const name = digest(bytes);
    writeFileSync(join(blobs, name.replace(':', '-')), bytes);
    return { mediaType, digest: name, size: bytes.length };
  };
  const config = {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  };
  const type = `${DOCKER}.distribution.manifest.v2+json`;
  const manifest = {
    schemaVersion: 2,
    mediaType: type,
    config: keep(Buffer.from(JSON.stringify(config)), `${DOCKER}.container.image.v1+json`),
    layers: layers.map(({ bytes, mediaType, urls }) => ({ ...keep(bytes, mediaType), urls })),
  };
  const file = join(folder, `${tag}.json`);
  writeFileSync(file, JSON.stringify({ type, text: JSON.stringify(manifest) }));
  await new RegistryCopy(registry, folder).push(repository, [tag], file);
}

function digest(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
