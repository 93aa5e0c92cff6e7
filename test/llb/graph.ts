import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { digestOf } from '#oci/digest.ts';
import {
  type ChownOptSchema,
  DefinitionSchema,
  type ExecOpSchema,
  type FileActionCopySchema,
  type FileActionSchema,
  type MetaSchema,
  type MountSchema,
  MountType,
  OpSchema,
} from '#worker/buildkit/proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

/** BuildKit's graphs, written by hand: what its Go library makes, in the words of the protocol. */

type OpInit = MessageInitShape<typeof OpSchema>;

interface Step {
  readonly op: OpInit;
  readonly inputs: readonly Edge[];
}

export interface Edge {
  readonly step: Step;
  readonly output: number;
}

/** undefined: an empty file system. */
export type State = Edge | undefined;

export function step(op: OpInit['op'], inputs: readonly Edge[] = []): Edge {
  return { step: { op: { op, platform: { OS: 'linux', Architecture: architecture } }, inputs }, output: 0 };
}

const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

export function output({ step: of }: Edge, number: number): Edge {
  return { step: of, output: number };
}

/** As `buildctl build` reads it. */
export function definition(state: State): Uint8Array {
  if (!state) return toBinary(DefinitionSchema, create(DefinitionSchema, {}));
  const def: Uint8Array[] = [];
  const metadata: Record<string, object> = {};
  const digests = new Map<Step, string>();
  const write = (bytes: Uint8Array) => {
    const digest = digestOf(bytes);
    if (!metadata[digest]) def.push(bytes);
    metadata[digest] = { caps: {} };
    return digest;
  };
  const add = (one: Step): string => {
    const known = digests.get(one);
    if (known) return known;
    const inputs = one.inputs.map((input) => ({ digest: add(input.step), index: BigInt(input.output) }));
    const digest = write(
      toBinary(OpSchema, create(OpSchema, { ...one.op, inputs, constraints: {} } as OpInit)),
    );
    digests.set(one, digest);
    return digest;
  };
  const digest = add(state.step);
  def.push(toBinary(OpSchema, create(OpSchema, { inputs: [{ digest, index: BigInt(state.output) }] })));
  return toBinary(DefinitionSchema, create(DefinitionSchema, { def, metadata }));
}

export function source(identifier: string, attrs: Record<string, string> = {}): Edge {
  return step({ case: 'source', value: { identifier, attrs } });
}

type Action = MessageInitShape<typeof FileActionSchema>['action'];

/** One that works on the outcome of the one before it. */
export type FileAction = (from: (state: State) => bigint) => Action;

/** Actions one after the other. */
export function file(base: State, ...actions: readonly FileAction[]): Edge {
  const inputs: Edge[] = [];
  const input = (state: State): bigint => {
    if (!state) return -1n;
    const at = inputs.findIndex((one) => one.step === state.step && one.output === state.output);
    return BigInt(at >= 0 ? at : inputs.push(state) - 1);
  };
  const bottom = input(base);
  const made = actions.map((action) => {
    let secondary = -1n;
    const done = action((state) => {
      secondary = input(state);
      return secondary;
    });
    return { action: done, secondary };
  });
  const value = made.map(({ action, secondary }, at) => ({
    action,
    input: at === 0 ? bottom : BigInt(inputs.length + at - 1),
    secondaryInput: secondary,
    output: at === made.length - 1 ? 0n : -1n,
  }));
  return step({ case: 'file', value: { actions: value } }, inputs);
}

type Owner = MessageInitShape<typeof ChownOptSchema>;

export interface Made {
  readonly mode?: number;
  readonly owner?: Owner;
  readonly timestamp?: bigint;
}

const made = ({ owner, timestamp = -1n }: Made) => ({ ...(owner && { owner }), timestamp });

export function ids(user: number, group = user): Owner {
  return {
    user: { user: { case: 'byID', value: user } },
    group: { user: { case: 'byID', value: group } },
  };
}

/** By names of the file system that is input 0. */
export function names(user: string, group?: string): Owner {
  const named = (name: string) => ({ user: { case: 'byName', value: { name, input: 0n } } as const });
  return { user: named(user), ...(group !== undefined && { group: named(group) }) };
}

export function mkfile(path: string, text = '', options: Made = {}): FileAction {
  const value = { path, mode: options.mode ?? 0o644, data: Buffer.from(text), ...made(options) };
  return () => ({ case: 'mkfile', value });
}

export function mkdir(path: string, options: Made & { makeParents?: boolean } = {}): FileAction {
  const { makeParents = false } = options;
  const value = { path, mode: options.mode ?? 0o755, makeParents, ...made(options) };
  return () => ({ case: 'mkdir', value });
}

export function symlink(oldpath: string, newpath: string, options: Made = {}): FileAction {
  return () => ({ case: 'symlink', value: { oldpath, newpath, ...made(options) } });
}

export function rm(
  path: string,
  options: { allowNotFound?: boolean; allowWildcard?: boolean } = {},
): FileAction {
  return () => ({ case: 'rm', value: { path, ...options } });
}

export function copy(
  from: State,
  src: string,
  dest: string,
  options: MessageInitShape<typeof FileActionCopySchema> = {},
): FileAction {
  return (input) => {
    input(from);
    return { case: 'copy', value: { src, dest, mode: -1, timestamp: -1n, ...options } };
  };
}

type MountInit = Omit<MessageInitShape<typeof MountSchema>, 'input' | 'output'>;

export interface Mount extends MountInit {
  readonly from?: State;
  /** Its outcome is this number of the step's. */
  readonly output?: number;
}

export interface ExecOptions
  extends Omit<MessageInitShape<typeof ExecOpSchema>, 'meta' | 'mounts' | '$typeName'> {
  readonly meta?: Omit<MessageInitShape<typeof MetaSchema>, '$typeName'>;
  readonly mounts?: readonly Mount[];
  /** Of the root file system. */
  readonly root?: Partial<Mount>;
}

/** A line for a shell; the root file system is output 0. */
export function exec(root: State, line: string, options: ExecOptions = {}): Edge {
  const { meta = {}, mounts = [], root: own = {}, ...rest } = options;
  const inputs: Edge[] = [];
  const all = [{ dest: '/', from: root, output: 0, ...own } as Mount, ...mounts];
  const value = all.map(({ from, output: number = -1, ...mount }) => ({
    mountType: MountType.BIND,
    ...mount,
    input: from ? BigInt(inputs.push(from) - 1) : -1n,
    output: BigInt(number),
  }));
  const filled = { cwd: '/', env: [PATH], args: ['/bin/sh', '-ec', line], ...meta };
  return step({ case: 'exec', value: { meta: filled, mounts: value, ...rest } as never }, inputs);
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function merge(...states: readonly Edge[]): Edge {
  const inputs = states.map((_, at) => ({ input: BigInt(at) }));
  return step({ case: 'merge', value: { inputs } }, states);
}

export function diff(lower: State, upper: State): Edge {
  const inputs = [lower, upper].filter((state) => state !== undefined);
  return step(
    {
      case: 'diff',
      value: {
        lower: { input: lower ? 0n : -1n },
        upper: { input: upper ? BigInt(inputs.length - 1) : -1n },
      },
    },
    inputs,
  );
}
