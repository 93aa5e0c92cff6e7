import { invalid, tooLarge } from '#errors/errors.ts';
import { IgnoreRules } from '../context/ignore.ts';
import { ArchiveTree } from './archive-tree.ts';
import { isArchive, unpackArchive } from './archive-unpacker.ts';
import { DirectoryTree } from './directory-tree.ts';
import {
  type FileOperation,
  type FileRequest,
  type FileResult,
  MANY_SOURCES,
  type Selection,
  type SourceTree,
} from './file-messages.ts';
import { cleanPath, type FileTree, resolvePath } from './file-tree.ts';
import { MemoryTree } from './memory-tree.ts';
import { RootedDirectory } from './rooted-directory.ts';
import { type SelectedSource, selectSources } from './select-sources.ts';
import { TreeChecksum } from './tree-checksum.ts';
import { TreeCopier } from './tree-copier.ts';

type Operations = {
  [O in FileOperation]: (request: FileRequest<O>) => FileResult<O> | Promise<FileResult<O>>;
};

interface OpenTree {
  readonly tree: FileTree;
  readonly checksum: TreeChecksum;
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
    const real = tree && resolvePath(tree, cleanPath(path));
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
    const options = { owners: request.owners, ...excludesOf(request) };
    const digests: string[] = [];
    let count = 0;
    this.#forSelected(request, ({ checksum }, selected) => {
      digests.push(checksum.of(selected, options));
      count += selected.length;
    });
    return { digest: digests.join(':'), count };
  }

  async copy(request: FileRequest<'copy'>): Promise<void> {
    const target = new RootedDirectory(request.root);
    const parentOwner = request.owner ?? ROOT;
    const options = { owner: request.owner, parentOwner, ...excludesOf(request) };
    const pending: (() => Promise<void>)[] = [];
    this.#forSelected(request, ({ tree }, selected) => {
      const copier = new TreeCopier(tree, target, {
        ...options,
        ...(request.mode !== undefined && { mode: request.mode }),
      });
      for (const source of selected) {
        pending.push(async () => {
          if (request.unpack && source.node.type === 'file' && (await isArchive(tree, source.path))) {
            const directory = target.make(request.destination, parentOwner).slice(request.root.length + 1);
            await unpackArchive(tree, source.path, {
              root: request.root,
              directory,
              ...(request.archiveOwner && { owner: request.archiveOwner }),
            });
          } else copier.copy(source, request.destination, request.asDirectory);
        });
      }
    });
    for (const task of pending) await task();
  }

  makeDirectory({ root, path, owner }: FileRequest<'makeDirectory'>): void {
    new RootedDirectory(root).make(path, owner);
  }

  reset(): void {
    this.#context?.tree.close();
    this.#context = undefined;
  }

  #forSelected(selection: Selection, visit: (open: OpenTree, selected: SelectedSource[]) => void): void {
    const found = selection.parts.map((part) => {
      const open = this.#tree(part.tree);
      const context = part.tree.kind === 'context';
      return { open, selected: selectSources(open.tree, part.sources, { context }) };
    });
    if (found.reduce((sum, { selected }) => sum + selected.length, 0) > 1 && !selection.asDirectory) {
      throw invalid(
        `When using ${selection.instruction} with more than one source file, the destination must be a directory and end with a /`,
        { code: MANY_SOURCES },
      );
    }
    for (const { open, selected } of found) visit(open, selected);
  }

  #tree(source: SourceTree): OpenTree {
    if (source.kind === 'context') {
      if (!this.#context) throw invalid('there is no build context');
      return this.#context;
    }
    const tree = source.kind === 'directory' ? new DirectoryTree(source.root) : new MemoryTree(source.files);
    return { tree, checksum: new TreeChecksum(tree) };
  }
}

function excludesOf({ exclude }: Selection): { excludes?: (path: string) => boolean } {
  if (exclude.length === 0) return {};
  const rules = new IgnoreRules(exclude.join('\n'));
  return { excludes: (path) => path !== '' && rules.ignores(path) };
}
