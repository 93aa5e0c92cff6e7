import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkerDatabase } from '#database/worker/open.ts';
import type { Images } from '#worker/images/images.ts';
import type { Sandboxes } from '#worker/networks/sandbox.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import type { StepRunner } from '#worker/runtime/step/step-runner.ts';
import type { Mounter } from '#worker/snapshots/mount.ts';
import type { Snapshotter } from '#worker/snapshots/snapshotter.ts';
import type { RegistryRecords } from '../cache/registry-records.ts';
import type { LocalLayers } from '../export/layer-export.ts';
import { FilePool } from '../files/file-pool.ts';
import type { DiffOp, ExecOp, FileOp, MergeOp, PassthroughOp, SourceOp } from '../llb/op.ts';
import type { OpDriver } from '../solve/op-driver.ts';
import { ContentDigests } from './content-digests.ts';
import { ContentManifests } from './content-manifests.ts';
import { DiffDriver } from './diff-driver.ts';
import { CacheMountRepository } from './exec/cache-mount-repository.ts';
import { CacheMounts } from './exec/cache-mounts.ts';
import { ExecDriver } from './exec/exec-driver.ts';
import { StepNetworks } from './exec/step-networks.ts';
import { FileDriver } from './file/file-driver.ts';
import { Layers } from './layers.ts';
import { MergeDriver } from './merge-driver.ts';
import { PassthroughDriver } from './passthrough-driver.ts';
import { RefReader } from './ref-reader.ts';
import { RefViews } from './ref-views.ts';
import { AddressPolicy } from './source/address-policy.ts';
import { BlobSource } from './source/blob-source.ts';
import { GitRepositories } from './source/git-repository.ts';
import { GitSource } from './source/git-source.ts';
import { HttpFiles } from './source/http-files.ts';
import { HttpSource } from './source/http-source.ts';
import { ImageResolver } from './source/image-resolver.ts';
import { ImageSource } from './source/image-source.ts';
import { LocalSource } from './source/local-source.ts';
import { SharedLayersSource } from './source/shared-layers-source.ts';
import { SourceDriver } from './source/source-driver.ts';
import { STEP_SNAPSHOT_PREFIX, Workspaces } from './workspaces.ts';

export interface DriversPorts {
  readonly images: Pick<Images, 'store' | 'layers' | 'layerPuller' | 'registries' | 'rows'>;
  readonly snapshotter: Snapshotter;
  readonly mounter: Mounter;
  readonly steps: StepRunner;
  readonly sandboxes: Sandboxes;
  readonly database: WorkerDatabase;
  readonly host: HostFacts;
  /** Has an image that other machines have be here too, under its name. */
  readonly bring?: (reference: string, signal: AbortSignal) => Promise<unknown>;
  /** Where other workers' steps have their layers. undefined: no cache is shared. */
  readonly shared?: Pick<RegistryRecords, 'ref'> | undefined;
}

export interface DriversOptions {
  /** For the drivers alone. Absolute; on a file system that overlayfs takes as upper. */
  readonly root: string;
  /** Copies, digests and the like that are done at once. */
  readonly fileThreads?: number;
  /** Cache mounts' files, together. */
  readonly maxCacheMountBytes?: number;
  /** What one archive that is added unpacks to. */
  readonly maxUnpackedBytes?: number;
  readonly maxUnpackedEntries?: number;
  /** One download's or repository's, and those together that are kept, of either kind. */
  readonly maxDownloadBytes?: number;
  readonly maxKeptDownloadBytes?: number;
  /** Networks that builds may not download from, in CIDR notation. */
  readonly refusedNetworks?: readonly string[];
  /** What a command needs is kept ready once one is expected, while one runs, and for a second after it. */
  readonly ahead?: boolean;
}

/** Everything that this folder offers, wired. */
export interface Drivers {
  readonly ops: {
    readonly source: OpDriver<SourceOp>;
    readonly exec: OpDriver<ExecOp>;
    readonly file: OpDriver<FileOp>;
    readonly merge: OpDriver<MergeOp>;
    readonly diff: OpDriver<DiffOp>;
    readonly passthrough: OpDriver<PassthroughOp>;
  };
  readonly images: ImageResolver;
  /** Tells what sources stand for. */
  readonly sources: SourceDriver;
  readonly reader: RefReader;
  readonly layers: Layers;
  /** For exporters: what is lazy, and what is no layer yet. */
  readonly local: LocalLayers;
  /** Tells how what has one digest of contents differs from what had another. */
  readonly manifests: ContentManifests;
  /** For exporters. */
  readonly views: RefViews;
  readonly cacheMounts: CacheMounts;
  readonly files: FilePool;
  /** What running commands need beside their files is below it. */
  readonly stepsDirectory: string;
  /** Removes what a killed worker left. Call once at start, after the image store's and the snapshotter's. */
  reconcile(): Promise<void>;
  stop(): Promise<void>;
}

const GIB = 1024 ** 3;
const DEFAULTS = {
  fileThreads: 4,
  maxCacheMountBytes: 20 * GIB,
  maxUnpackedBytes: 64 * GIB,
  maxUnpackedEntries: 2_000_000,
  maxDownloadBytes: 64 * GIB,
  maxKeptDownloadBytes: 10 * GIB,
  refusedNetworks: [],
  ahead: true,
};

/**
 * The drivers of all kinds of ops. Below the root:
 *
 *     mounts/     mount points of what is mounted now
 *     steps/<id>  what a running command needs beside its files
 *     digests/    what is known of clients' files
 *     manifests/  what digests of contents were made of
 *     http/       downloads
 *     git/        mirrors of repositories
 *     checkouts/  their work trees, while they are used
 */
export function createDrivers(ports: DriversPorts, given: DriversOptions): Drivers {
  const options = { ...DEFAULTS, ...given };
  const { images, snapshotter, mounter, sandboxes, steps, host } = ports;
  const directory = join(options.root, 'mounts');
  const stepsDirectory = join(options.root, 'steps');
  const files = new FilePool({ threads: options.fileThreads });
  const layers = new Layers({ layers: images.layers, puller: images.layerPuller });
  const views = new RefViews({ layers, snapshotter, mounter }, { directory });
  const workspaces = new Workspaces({ layers, snapshotter, mounter, files }, { directory });
  const manifests = new ContentManifests({ files }, { directory: join(options.root, 'manifests') });
  const digests = new ContentDigests(
    { views, files, manifests },
    { directory: join(options.root, 'digests') },
  );
  const caches = new CacheMounts(
    { rows: new CacheMountRepository(ports.database), snapshotter, mounter },
    { directory, maxBytes: options.maxCacheMountBytes },
  );
  const resolver = new ImageResolver({
    registries: images.registries,
    store: images.store,
    images: images.rows.images,
    layerRows: images.rows.layers,
    bring: ports.bring,
  });
  const policy = new AddressPolicy(options.refusedNetworks);
  const downloads = new HttpFiles(join(options.root, 'http'), {
    policy,
    maxBytes: options.maxDownloadBytes,
    keepBytes: options.maxKeptDownloadBytes,
  });
  const repositories = new GitRepositories(options.root, {
    maxBytes: options.maxDownloadBytes,
    maxEntries: options.maxUnpackedEntries,
    keepBytes: options.maxKeptDownloadBytes,
  });
  const checkouts = { directory: join(options.root, 'checkouts'), maxBytes: options.maxDownloadBytes };
  const sources = new SourceDriver([
    new ImageSource({ resolver, layers }),
    new LocalSource(),
    new GitSource({ repositories, policy, host }, checkouts),
    new HttpSource({ files: downloads }),
    new BlobSource({ resolver, files: downloads }),
    new SharedLayersSource(ports.shared),
  ]);
  const networks = new StepNetworks({ sandboxes });
  const limits = { maxBytes: options.maxUnpackedBytes, maxEntries: options.maxUnpackedEntries };
  return {
    ops: {
      source: sources,
      exec: new ExecDriver(
        { workspaces, views, layers, caches, mounter, networks, steps, host, digests },
        { directory: stepsDirectory, ahead: options.ahead },
      ),
      file: new FileDriver({ workspaces, views, files, digests }, { limits }),
      merge: new MergeDriver({ workspaces }),
      diff: new DiffDriver({ workspaces, views, files }),
      passthrough: new PassthroughDriver(),
    },
    images: resolver,
    sources,
    reader: new RefReader({ views, files }),
    layers,
    local: {
      require: (ref, options) => layers.require(ref, options),
      import: (ref, options) => workspaces.import(ref, options),
    },
    manifests,
    views,
    cacheMounts: caches,
    files,
    stepsDirectory,
    reconcile: async () => {
      await mkdir(options.root, { recursive: true, mode: 0o700 });
      await steps.reconcile();
      for (const target of await mounter.mountsBelow(options.root)) await mounter.unmount(target);
      for (const name of await readdir(options.root)) {
        if (EPHEMERAL.has(name)) await rm(join(options.root, name), { recursive: true, force: true });
      }
      for await (const { key, kind } of snapshotter.walk()) {
        if (kind === 'active' && key.startsWith(STEP_SNAPSHOT_PREFIX)) await snapshotter.remove(key);
      }
      await digests.reconcile();
      await caches.reconcile();
      await repositories.reconcile();
    },
    stop: async () => {
      await Promise.all([networks.stop(), steps.stop()]);
      await caches.settled();
      await files[Symbol.asyncDispose]();
    },
  };
}

const EPHEMERAL = new Set(['mounts', 'steps', 'checkouts']);
