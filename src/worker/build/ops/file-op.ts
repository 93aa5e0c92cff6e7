import { SlipwayError } from '#errors/errors.ts';
import { resolveUser } from '#worker/runtime/spec/user.ts';
import { literalPattern } from '../context/path-match.ts';
import { type CopyPart, MANY_SOURCES, type Selection } from '../files/file-messages.ts';
import type { FileWorker } from '../files/file-worker.ts';
import type { Owner } from '../files/rooted-directory.ts';
import type { CopyAction, FileOp, MakeDirectoryAction } from '../graph/op.ts';
import type { OpResult, OpRunner, RunOptions } from '../graph/op-runner.ts';
import { layersOf, type Result, snapshotOf } from '../graph/result.ts';
import { contentKey } from './content-key.ts';
import type { LayerWorkspace } from './layer-workspace.ts';
import { parseOwner } from './owner.ts';

const ROOT: Owner = { uid: 0, gid: 0 };

/** COPY, ADD and WORKDIR: changes files without running anything. */
export class FileOpRunner implements OpRunner<FileOp> {
  readonly #files: FileWorker;
  readonly #workspace: LayerWorkspace;

  constructor(ports: { files: FileWorker; workspace: LayerWorkspace }) {
    this.#files = ports.files;
    this.#workspace = ports.workspace;
  }

  async *contentKeys(op: FileOp, inputs: readonly Result[]): AsyncGenerator<string> {
    const [base, ...sources] = inputs;
    // Where all sources are layers, those name the contents; reading them is only the second try.
    if (sources.every((source) => source.kind === 'layers')) yield contentKey(op, inputs);
    if (op.action.type !== 'copy' || sources.length === 0) return;
    const { action } = op;
    yield await this.#naming(action, () =>
      this.#withParts(action, inputs, async (selection) => {
        const owners = action.keepOwners && action.chown === undefined;
        const { digest } = await this.#files.call('checksum', { ...selection, owners });
        return contentKey(op, [base, digest]);
      }),
    );
  }

  async run({ action }: FileOp, inputs: readonly Result[], { user }: RunOptions): Promise<OpResult> {
    const base = layersOf(inputs[0]);
    const layer = await this.#workspace.layer(snapshotOf(base), user, ({ root }) =>
      action.type === 'copy' ? this.#copy(action, inputs, root) : this.#makeDirectory(action, root),
    );
    if (!layer) return { result: base };
    return { result: { kind: 'layers', diffIds: [...base.diffIds, layer.diffId] }, layer };
  }

  async #copy(action: CopyAction, inputs: readonly Result[], root: string): Promise<void> {
    await this.#naming(action, async () => {
      const chowned = action.chown === undefined ? undefined : await parseOwner(root, action.chown);
      await this.#withParts(action, inputs, (selection) =>
        this.#files.call('copy', {
          ...selection,
          root,
          destination: action.destination,
          owner: chowned ?? (action.keepOwners ? undefined : ROOT),
          archiveOwner: chowned,
          mode: action.mode,
          unpack: action.unpack,
        }),
      );
    });
  }

  async #makeDirectory({ path, user }: MakeDirectoryAction, root: string): Promise<void> {
    const owner = user === '' ? ROOT : await resolveUser(root, user);
    await this.#files.call('makeDirectory', { root, path, owner: { uid: owner.uid, gid: owner.gid } });
  }

  /** Mounts the stages and images that are copied from while `task` runs. */
  async #withParts<T>(
    action: CopyAction,
    inputs: readonly Result[],
    task: (selection: Selection) => Promise<T>,
  ): Promise<T> {
    const gather = async (at: number, parts: CopyPart[]): Promise<T> => {
      const source = action.from[at];
      if (!source) {
        const { instruction, exclude, asDirectory } = action;
        return task({ instruction, parts, exclude, asDirectory });
      }
      if ('files' in source) {
        const tree = { kind: 'files', files: source.files } as const;
        return gather(at + 1, [
          ...parts,
          { tree, sources: source.files.map(({ name }) => literalPattern(name)) },
        ]);
      }
      const input = inputs[source.input]!;
      const next = (tree: CopyPart['tree'], sources: readonly string[]) =>
        gather(at + 1, [...parts, { tree, sources }]);
      if (input.kind === 'context') return next({ kind: 'context' }, source.paths);
      if (input.kind === 'download') {
        return next({ kind: 'directory', root: input.directory }, [literalPattern(input.name)]);
      }
      const snapshot = snapshotOf(input);
      if (snapshot === undefined) return next({ kind: 'files', files: [] }, source.paths);
      return this.#workspace.reading(snapshot, (root) => next({ kind: 'directory', root }, source.paths));
    };
    return gather(0, []);
  }

  /** Puts the instruction's name in front of what went wrong, as Docker does. */
  async #naming<T>({ instruction }: CopyAction, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof SlipwayError) || error.kind === 'canceled') throw error;
      if (error.code === MANY_SOURCES) throw error;
      const kind = error.kind === 'not-found' ? 'invalid' : error.kind;
      throw new SlipwayError(kind, `${instruction} failed: ${error.message}`, { cause: error });
    }
  }
}
