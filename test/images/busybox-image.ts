import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TarEntry } from '#tar/entry.ts';
import { type TarInput, writeTar } from '#tar/writer.ts';

const BUSYBOX = '/bin/busybox';
/** Not a test's own temporary directory: kept between runs, so without their prefix. */
const CACHE = join(tmpdir(), 'cache-of-slipway-tests');

/**
 * Path of an archive for `docker load` with one image, `busybox:latest`: one layer with Debian's busybox-static
 * (package busybox-static) and links for its applets. Made once and cached by the binary's digest.
 */
export async function busyboxArchive(): Promise<string> {
  const binary = await readFile(BUSYBOX);
  const path = join(CACHE, `busybox-${digest(binary).slice(0, 16)}-1.tar`);
  if (
    await access(path).then(
      () => true,
      () => false,
    )
  )
    return path;
  await mkdir(CACHE, { recursive: true });
  const scratch = `${path}.${process.pid}`;
  await writeFile(scratch, await archive(await layer(binary)));
  await rename(scratch, path);
  return path;
}

/** The layer's tar: a small root file system. */
async function layer(binary: Buffer): Promise<Buffer> {
  const { stdout } = await promisify(execFile)(BUSYBOX, ['--list']);
  const applets = stdout.split('\n').filter((name) => name !== '' && name !== 'busybox');
  return pack([
    ...[
      'bin',
      'dev',
      'etc',
      'home',
      'lib',
      'proc',
      'root',
      'sbin',
      'sys',
      'usr',
      'usr/bin',
      'usr/sbin',
      'var',
      'var/log',
    ].map((path) => directory(path, path === 'root' ? 0o700 : 0o755)),
    directory('tmp', 0o1777),
    directory('var/tmp', 0o1777),
    file('bin/busybox', binary, 0o755),
    ...applets.map((name) => link(`bin/${name}`, 'bin/busybox')),
    file('etc/passwd', PASSWD),
    file('etc/group', GROUP),
    file('etc/shadow', 'root:*:10933:0:99999:7:::\n', 0o640),
    file('etc/hostname', ''),
  ]);
}

const PASSWD = [
  'root:x:0:0:root:/root:/bin/sh',
  'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
  'www-data:x:33:33:www-data:/var/www:/bin/false',
  'nobody:x:65534:65534:nobody:/home:/bin/false',
  '',
].join('\n');
const GROUP = [
  'root:x:0:',
  'daemon:x:1:',
  'tty:x:5:',
  'www-data:x:33:',
  'users:x:100:',
  'nogroup:x:65534:',
  '',
].join('\n');

async function archive(layerTar: Buffer): Promise<Buffer> {
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      created: '2024-01-01T00:00:00Z',
      config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${digest(layerTar)}`] },
      history: [{ created: '2024-01-01T00:00:00Z', created_by: 'BusyBox (Debian busybox-static)' }],
    }),
  );
  const configPath = `blobs/sha256/${digest(config)}`;
  const layerPath = `blobs/sha256/${digest(layerTar)}`;
  const manifest = [{ Config: configPath, RepoTags: ['busybox:latest'], Layers: [layerPath] }];
  return pack([
    directory('blobs'),
    directory('blobs/sha256'),
    file(configPath, config),
    file(layerPath, layerTar),
    file('manifest.json', JSON.stringify(manifest)),
  ]);
}

const OWNED = { uid: 0, gid: 0, mtime: Date.UTC(2024, 0, 1) / 1000, size: 0 };

function directory(path: string, mode = 0o755): TarInput {
  return { entry: { ...OWNED, path, type: 'directory', mode } };
}

function file(path: string, content: Buffer | string, mode = 0o644): TarInput {
  const bytes = Buffer.from(content as Buffer);
  const entry: TarEntry = { ...OWNED, path, type: 'file', mode, size: bytes.length };
  return { entry, body: [bytes] };
}

function link(path: string, linkPath: string): TarInput {
  return { entry: { ...OWNED, path, type: 'hardlink', mode: 0o755, linkPath } };
}

async function pack(inputs: TarInput[]): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeTar(inputs)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
