import { invalid } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { ReadyAction, UnpackLimits } from '../../files/file-actions.ts';
import type { FilePool } from '../../files/file-pool.ts';
import type { FileAction, FileOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { CacheMap, OpContext, OpDriver } from '../../solve/op-driver.ts';
import { EMPTY, type LayersRef, type Ref } from '../../solve/ref.ts';
import type { ContentDigests } from '../content-digests.ts';
import { type RequireOptions, requiring } from '../layers.ts';
import type { RefViews } from '../ref-views.ts';
import type { Workspaces } from '../workspaces.ts';
import { type ActionChain, chainsOf } from './action-chains.ts';
import { fileKeys } from './file-cache-map.ts';
import { resolveOwner } from './owners.ts';
import { plainCopyOf } from './plain-copy.ts';

export interface FileDriverPorts {
  readonly workspaces: Workspaces;
  readonly views: RefViews;
  readonly files: FilePool;
  readonly digests: ContentDigests;
}

/** Changes files without running anything: COPY, ADD, WORKDIR, and what `llb.File` asks for. */
export class FileDriver implements OpDriver<FileOp> {
  readonly #ports: FileDriverPorts;
  readonly #limits: UnpackLimits;

  constructor(ports: FileDriverPorts, options: { limits: UnpackLimits }) {
    this.#ports = ports;
    this.#limits = options.limits;
  }

  async cacheMap(vertex: Vertex<FileOp>): Promise<CacheMap> {
    const { digest, selectors } = fileKeys(vertex);
    return {
      digest,
      inputs: selectors.map((selected) => {
        if (!selected) return {};
        return {
          selector: JSON.stringify(selected.map(({ path }) => path)),
          contentDigest: (ref, context) => this.#ports.digests.of(ref, selected, requiring(vertex, context)),
        };
      }),
    };
  }

  async run(vertex: Vertex<FileOp>, inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    const { op } = vertex;
    const options = requiring(vertex, context);
    const outputs: Ref[] = [];
    const outcomes = new Map<number, Ref>();
    const refOf = (input: number | undefined): Ref => {
      const ref = input === undefined ? EMPTY : (inputs[input] ?? outcomes.get(input - inputs.length));
      if (!ref) throw invalid(`invalid input index ${input} in a file op`);
      return ref;
    };
    for (const chain of chainsOf(op, inputs.length)) {
      const outcome = await this.#chain(op, chain, refOf, options);
      const last = chain.actions.at(-1)!;
      outcomes.set(last, outcome);
      const { output } = op.actions[last]!;
      if (output !== undefined) outputs[output] = outcome;
    }
    return outputs;
  }

  async #chain(
    op: FileOp,
    chain: ActionChain,
    refOf: (input: number | undefined) => Ref,
    options: RequireOptions,
  ): Promise<Ref> {
    const plain = plainCopyOf(op, chain);
    const ref = refOf(chain.input);
    if (plain && ref.kind === 'layers') {
      const layer = await this.#copy(plain, ref, refOf, options);
      if (layer) return layer;
    }
    await using opened = new AsyncDisposableStack();
    const { workspaces, views, files } = this.#ports;
    const workspace = opened.use(await workspaces.open(ref, { ...options, mounted: false }));
    const view = async (input: number | undefined) =>
      opened.use(await views.open(refOf(input), options)).root;
    // What is changed shows what it began with, until something is changed.
    const rootOf = async (input: number) => (input === chain.input ? workspace.root : view(input));
    const actions = [];
    for (const at of chain.actions) actions.push(await ready(op.actions[at]!, { view, rootOf }));
    const request = { root: workspace.root, actions, limits: this.#limits };
    await files.run('apply', request, options);
    return await workspace.commit();
  }

  /** undefined: it is no such copy after all. */
  async #copy(
    wanted: FileAction,
    ref: LayersRef,
    refOf: (input: number | undefined) => Ref,
    options: RequireOptions,
  ): Promise<Ref | undefined> {
    await using opened = new AsyncDisposableStack();
    const { workspaces, views, files } = this.#ports;
    const view = async (input: number | undefined) =>
      opened.use(await views.open(refOf(input), options)).root;
    const action = await ready(wanted, { view, rootOf: view });
    if (action.type !== 'copy') return undefined;
    const layer = opened.use(await workspaces.blank(ref, options));
    const { upper, lowers } = layer;
    const copied = await files.copyAsLayer({ upper, lowers, action }, options);
    return copied && (await layer.commit({ ...copied, diffId: copied.diffId as Digest }));
  }
}

async function ready(
  action: FileAction,
  from: {
    view: (input: number | undefined) => Promise<string>;
    rootOf: (input: number) => Promise<string>;
  },
): Promise<ReadyAction> {
  if (action.type === 'rm') return action;
  const { owner: wanted, ...rest } = action;
  const owner = wanted && { owner: await resolveOwner(wanted, from.rootOf) };
  if (rest.type !== 'copy') return { ...rest, ...owner };
  return { ...rest, ...owner, source: await from.view(rest.secondaryInput) };
}
