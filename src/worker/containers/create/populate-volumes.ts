import { chmod, chown, readdir } from 'node:fs/promises';
import type { TarFile } from '#tar/reader.ts';
import type { TarInput } from '#tar/writer.ts';
import { ContainerTree } from '../archive/container-tree.ts';
import type { TreeReader } from '../archive/tree-reader.ts';
import type { TreeWriter } from '../archive/tree-writer.ts';
import type { MountPoint } from '../container.ts';

/** Fills empty volumes of a new container with what its image has at their place. */
export class VolumePopulator {
  readonly #reader: TreeReader;
  readonly #writer: TreeWriter;

  constructor(ports: { reader: TreeReader; writer: TreeWriter }) {
    this.#reader = ports.reader;
    this.#writer = ports.writer;
  }

  /** Whether the image's files are needed at all. */
  static wants(mounts: readonly MountPoint[]): boolean {
    return mounts.some((mount) => mount.type === 'volume' && mount.copyData);
  }

  /** `rootfs` is the container's mounted root file system. */
  async populate(rootfs: string, mounts: readonly MountPoint[]): Promise<void> {
    for (const mount of mounts) {
      if (mount.type !== 'volume' || !mount.copyData) continue;
      if ((await readdir(mount.source)).length > 0) continue;
      await this.#populate(rootfs, mount);
    }
  }

  async #populate(rootfs: string, mount: MountPoint): Promise<void> {
    const tree = new ContainerTree(rootfs);
    await using source = await locateOrMissing(tree, mount.destination);
    if (!source?.stats?.isDirectory()) return;
    const files = asFiles(this.#reader.read(tree, source, ''));
    await this.#writer.write(new ContainerTree(mount.source), '/', files);
    await chown(mount.source, source.stats.uid, source.stats.gid);
    await chmod(mount.source, source.stats.mode & 0o7777);
  }
}

async function locateOrMissing(tree: ContainerTree, path: string) {
  return tree.locate(path, { follow: true }).catch(() => undefined);
}

async function* asFiles(inputs: AsyncIterable<TarInput>): AsyncGenerator<TarFile> {
  for await (const { entry, body } of inputs) {
    yield {
      entry,
      body: (async function* () {
        yield* body ?? [];
      })(),
    };
  }
}
