import { findPackages } from '../attest/sbom/find-packages.ts';
import { ContentDigest } from './content-digest.ts';
import { ContentManifest, manifestPath } from './content-manifest.ts';
import { DirectoryTree } from './directory-tree.ts';
import { applyAction, copyAsLayer } from './file-actions.ts';
import { fileChanges } from './file-changes.ts';
import { FileDigests } from './file-digests.ts';
import type { FileOperation, FileRequest, FileResult } from './file-messages.ts';
import { readDirectory, readPart, statPath } from './read-tree.ts';
import { removeExcluded } from './remove-excluded.ts';
import { writeShared } from './shared-writing.ts';
import { TreeCopy } from './tree-copy.ts';
import { TreeDifference } from './tree-difference.ts';

type Operations = {
  [O in FileOperation]: (request: FileRequest<O>) => FileResult<O> | Promise<FileResult<O>>;
};

/** The file operations of one thread. */
export class FileService implements Operations {
  async apply({ root, actions, limits }: FileRequest<'apply'>): Promise<void> {
    for (const action of actions) await applyAction(root, action, limits);
  }

  copyAsLayer({ action, ...layer }: FileRequest<'copyAsLayer'>): FileResult<'copyAsLayer'> {
    return copyAsLayer(action, layer);
  }

  writeShared(request: FileRequest<'writeShared'>): Promise<void> {
    return writeShared(request);
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

  removeExcluded({ root, patterns }: FileRequest<'removeExcluded'>): string[] {
    return removeExcluded(root, patterns);
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
}
