import { invalid, isKind, notFound } from '#errors/errors.ts';
import { readTar } from '#tar/reader.ts';
import { writeTar } from '#tar/writer.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import { resolveUser } from '../../runtime/spec/user.ts';
import { decompress } from '../../snapshots/tree/decompress.ts';
import type { Container } from '../container.ts';
import { containerEvent } from '../container-events.ts';
import type { ContainerTree, Location } from './container-tree.ts';
import type { PathStat } from './path-stat.ts';
import { pathStatOf } from './path-stat.ts';
import type { RootfsAccess } from './rootfs-access.ts';
import type { TreeReader } from './tree-reader.ts';
import type { TreeWriter } from './tree-writer.ts';

export interface ArchivePorts {
  readonly rootfs: RootfsAccess;
  readonly reader: TreeReader;
  readonly writer: TreeWriter;
  readonly events: EventPublisher;
}

/** `docker cp` and `docker export`: a container's files, whether it runs or not. */
export class ContainerArchives {
  readonly #ports: ArchivePorts;

  constructor(ports: ArchivePorts) {
    this.#ports = ports;
  }

  /** Of the path itself: a link is not followed. Throws `not-found`. */
  async stat(container: Container, path: string): Promise<PathStat> {
    return this.#ports.rootfs.use(container, async (tree) => {
      await using location = await this.#find(tree, container, path);
      return pathStatOf(tree, location, path);
    });
  }

  /** `consume` gets the stat and the archive, whose top is called as the path's last name. Throws `not-found`. */
  async read(
    container: Container,
    path: string,
    consume: (stat: PathStat, archive: AsyncIterable<Uint8Array>) => Promise<void>,
  ): Promise<void> {
    const { rootfs, reader, events } = this.#ports;
    await rootfs.use(container, async (tree) => {
      await using location = await this.#find(tree, container, path);
      const stat = await pathStatOf(tree, location, path);
      // `dir/.` is its content: the entries are named below `.`, as the CLI expects.
      const name = path.endsWith('/.') ? '.' : stat.name === '/' ? '' : stat.name;
      events.publish(containerEvent(container, 'archive-path'));
      await consume(stat, writeTar(reader.read(tree, location, name)));
    });
  }

  /** Unpacks an archive, compressed or not, into a directory that exists. Throws `not-found`, `invalid`, `conflict`. */
  async write(
    container: Container,
    path: string,
    archive: AsyncIterable<Uint8Array>,
    options: { keepTypes: boolean; ownerOfContainer: boolean; signal: AbortSignal },
  ): Promise<void> {
    const { rootfs, writer, events } = this.#ports;
    const { keepTypes, signal, ownerOfContainer } = options;
    await rootfs.use(container, async (tree, root) => {
      let directory: string;
      {
        await using location = await this.#find(tree, container, path, true);
        if (!location.stats!.isDirectory()) throw invalid('extraction point is not a directory');
        refuseReadOnly(container, location.path);
        directory = location.path;
      }
      const { User: user } = container.record.config;
      const owner = ownerOfContainer && user !== '' ? await resolveUser(root, user) : undefined;
      await writer.write(tree, directory, readTar(decompress(archive)), {
        keepTypes,
        signal,
        ...(owner && { owner }),
      });
    });
    events.publish(containerEvent(container, 'extract-to-dir'));
  }

  /** The whole root file system, without what is mounted in it. */
  async export(
    container: Container,
    consume: (archive: AsyncIterable<Uint8Array>) => Promise<void>,
  ): Promise<void> {
    const { rootfs, reader, events } = this.#ports;
    await rootfs.useRootOnly(container, async (tree) => {
      await using root = await tree.locate('/', { follow: true });
      await consume(writeTar(reader.read(tree, root, '')));
    });
    events.publish(containerEvent(container, 'export'));
  }

  async #find(tree: ContainerTree, container: Container, path: string, follow = false): Promise<Location> {
    const missing = () => notFound(`Could not find the file ${path} in container ${container.name}`);
    const location = await tree.locate(path, { follow }).catch((error: unknown) => {
      throw isKind(error, 'not-found') ? missing() : error;
    });
    // `file/` names nothing: only a directory has something below it.
    const contradicts = /\/\.?$/.test(path) && location.stats?.isDirectory() === false;
    if (location.stats && !contradicts) return location;
    await location[Symbol.asyncDispose]();
    throw missing();
  }
}

function refuseReadOnly({ record }: Container, path: string): void {
  const mount = record.mounts
    .filter(({ destination }) => path === destination || path.startsWith(`${destination}/`))
    .sort((a, b) => b.destination.length - a.destination.length)[0];
  if (mount ? !mount.writable : record.hostConfig.ReadonlyRootfs) {
    throw invalid(mount ? 'mounted volume is marked read-only' : 'container rootfs is marked read-only');
  }
}
