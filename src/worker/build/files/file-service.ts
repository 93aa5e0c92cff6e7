import { invalid, tooLarge } from '#errors/errors.ts';
import { withinRoot } from '#tar/rooted-path.ts';
import { findPackages } from '../attest/sbom/find-packages.ts';
import { IgnoreRules } from '../context/ignore.ts';
import { ArchiveTree } from './archive-tree.ts';
import { isArchive, unpackArchive } from './archive-unpacker.ts';
import { ContentDigest } from './content-digest.ts';
import { ContentManifest, manifestPath } from './content-manifest.ts';
import { DirectoryTree } from './directory-tree.ts';
import { applyAction } from './file-actions.ts';
import { fileChanges } from './file-changes.ts';
import { FileDigests } from './file-digests.ts';
import {
  type FileOperation,
  type FileRequest,
  type FileResult,
  MANY_SOURCES,
  type Selection,
  type SourceTree,
} from './file-messages.ts';
import { type FileTree, resolvePath } from './file-tree.ts';
import { MemoryTree } from './memory-tree.ts';
import { readDirectory, readPart, statPath } from './read-tree.ts';
import { removeExcluded } from './remove-excluded.ts';
import { RootedDirectory } from './rooted-directory.ts';
import { type SelectedSource, selectSources } from './select-sources.ts';
import { TreeChecksum } from './tree-checksum.ts';
import { TreeCopier } from './tree-copier.ts';
import { TreeCopy } from './tree-copy.ts';
import { TreeDifference } from './tree-difference.ts';

type Operations = {
  [O in FileOperation]: (request: FileRequest<O>) => FileResult<O> | Promise<FileResult<O>>;
};

interface OpenTree {
  readonly tree: FileTree;
  readonly checksum: TreeChecksum;
}

interface SelectedPart extends OpenTree {
  readonly selected: readonly SelectedSource[];
}

const ROOT = { uid: 0, gid: 0 };

/** The file operations of one build. It lives on the build's thread and keeps the context's index there. */
export class FileService implements Operations {
  #context: (OpenTree & { readonly tree: ArchiveTree }) | undefined;

  open({ file, maxEntries }: FileRequest<'open'>): void {
    this.reset();
    const tree = new ArchiveTree(file, { maxEntries });
    this.#context = { tree, checksum: new TreeChecksum(tree) };
  }

  exclude({ rules }: FileRequest<'exclude'>): void {
    const ignore = new IgnoreRules(rules);
    if (!ignore.isEmpty) this.#context?.tree.exclude((path) => ignore.ignores(path));
  }

  readText({ path, maxBytes }: FileRequest<'readText'>): string | undefined {
    const tree = this.#context?.tree;
    const real = tree && resolvePath(tree, withinRoot(path));
    const node = real === undefined ? undefined : tree?.node(real);
    if (!tree || real === undefined || node?.type !== 'file') return undefined;
    if (node.size > maxBytes) throw tooLarge(`${path} is larger than ${maxBytes} bytes`);
    const buffer = Buffer.alloc(node.size);
    for (let offset = 0; offset < node.size; ) {
      const bytes = tree.read(real, buffer.subarray(offset), offset);
      if (bytes === 0) throw invalid(`the build context ends within ${path}`);
      offset += bytes;
    }
    return buffer.toString('utf8');
  }

  checksum(request: FileRequest<'checksum'>): FileResult<'checksum'> {
    using opened = new DisposableStack();
    const options = { owners: request.owners, ...excludesOf(request) };
    const parts = this.#select(request, opened);
    return {
      digest: parts.map(({ checksum, selected }) => checksum.of(selected, options)).join(':'),
      count: parts.reduce((sum, { selected }) => sum + selected.length, 0),
    };
  }

  async copy(request: FileRequest<'copy'>): Promise<void> {
    using opened = new DisposableStack();
    const target = new RootedDirectory(request.root);
    const options = {
      owner: request.owner,
      parentOwner: request.owner ?? ROOT,
      ...(request.mode !== undefined && { mode: request.mode }),
      ...excludesOf(request),
    };
    for (const { tree, selected } of this.#select(request, opened)) {
      const copier = new TreeCopier(tree, target, options);
      for (const source of selected) {
        const archive = request.unpack && source.node.type === 'file' && (await isArchive(tree, source.path));
        if (archive) await unpackInto(target, tree, source.path, request);
        else copier.copy(source, request.destination, request.asDirectory);
      }
    }
  }

  makeDirectory({ root, path, owner }: FileRequest<'makeDirectory'>): void {
    new RootedDirectory(root).make(path, owner);
  }

  async apply({ root, actions, limits }: FileRequest<'apply'>): Promise<void> {
    for (const action of actions) await applyAction(root, action, limits);
  }

  contentDigest({ root, rootKnown, selectors, memory, manifests }: FileRequest<'contentDigest'>): string {
    const files = new FileDigests(root, memory);
    const manifest = new ContentManifest();
    const digest = new ContentDigest(root, files, { rootKnown, manifest }).of(selectors);
    files.keep();
    manifest.save(manifestPath(manifests, digest));
    return digest;
  }

  fileChanges({ before, after }: FileRequest<'fileChanges'>): FileResult<'fileChanges'> {
    return fileChanges(before, after);
  }

  removeExcluded({ root, patterns }: FileRequest<'removeExcluded'>): void {
    removeExcluded(root, patterns);
  }

  importTree({ source, target }: FileRequest<'importTree'>): void {
    new TreeCopy({ source, target }, { replace: false }).import();
  }

  difference({ lower, upper, target }: FileRequest<'difference'>): void {
    new TreeDifference(target).write(lower, upper);
  }

  readPart(request: FileRequest<'readPart'>): Uint8Array {
    return readPart(request);
  }

  readDirectory(request: FileRequest<'readDirectory'>): FileResult<'readDirectory'> {
    return readDirectory(request);
  }

  packages({ root }: FileRequest<'packages'>): FileResult<'packages'> {
    using tree = new DirectoryTree(root);
    return findPackages(tree);
  }

  stat({ root, path }: FileRequest<'stat'>): FileResult<'stat'> {
    return statPath(root, path);
  }

  reset(): void {
    this.#context?.tree[Symbol.dispose]();
    this.#context = undefined;
  }

  #select(selection: Selection, opened: DisposableStack): SelectedPart[] {
    const parts = selection.parts.map((part) => {
      const open = this.#tree(part.tree, opened);
      const context = part.tree.kind === 'context';
      return { ...open, selected: selectSources(open.tree, part.sources, { context }) };
    });
    if (parts.reduce((sum, { selected }) => sum + selected.length, 0) > 1 && !selection.asDirectory) {
      throw invalid(
        `When using ${selection.instruction} with more than one source file, the destination must be a directory and end with a /`,
        { code: MANY_SOURCES },
      );
    }
    return parts;
  }

  #tree(source: SourceTree, opened: DisposableStack): OpenTree {
    if (source.kind === 'context') {
      if (!this.#context) throw invalid('there is no build context');
      return this.#context;
    }
    const tree =
      source.kind === 'directory' ? opened.use(new DirectoryTree(source.root)) : new MemoryTree(source.files);
    return { tree, checksum: new TreeChecksum(tree) };
  }
}

function unpackInto(
  target: RootedDirectory,
  tree: FileTree,
  path: string,
  { root, destination, owner, archiveOwner }: FileRequest<'copy'>,
): Promise<void> {
  const directory = target.make(destination, owner ?? ROOT).slice(root.length + 1);
  return unpackArchive(tree, path, { root, directory, ...(archiveOwner && { owner: archiveOwner }) });
}

function excludesOf({ exclude }: Selection): { excludes?: (path: string) => boolean } {
  if (exclude.length === 0) return {};
  const rules = new IgnoreRules(exclude.join('\n'));
  return { excludes: (path) => path !== '' && rules.ignores(path) };
}
