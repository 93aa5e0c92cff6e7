import { invalid, unsupported } from '#errors/errors.ts';
import type {
  ChownOptions,
  DiffOp,
  ExecMount,
  ExecOp,
  FileAction,
  FileOp,
  MergeOp,
  Op,
  PassthroughOp,
  SourceOp,
  UserOption,
} from '#worker/build/llb/op.ts';
import {
  CacheSharingOpt,
  type ChownOpt,
  type Mount,
  MountContentCache,
  MountType,
  NetMode,
  type ExecOp as PbExecOp,
  type FileAction as PbFileAction,
  type Op as PbOp,
  SecurityMode,
  type UserOpt,
} from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

/**
 * A step in our words. `inputs`: how many it has; every number of an input is one of them. Throws `invalid` for what
 * makes no sense, `unsupported` for what we do not do.
 */
export function opFromPb(op: PbOp): { op: Op; inputs: readonly number[] } {
  const count = op.inputs.length;
  const all = op.inputs.map((_, at) => at);
  switch (op.op.case) {
    case 'source':
      if (count > 0) throw invalid('a source has no inputs');
      return { op: { kind: 'source', ...pick(op.op.value) } satisfies SourceOp, inputs: [] };
    case 'exec':
      return { op: execFromPb(op.op.value, count), inputs: all };
    case 'file':
      return { op: fileFromPb(op.op.value.actions, count), inputs: all };
    case 'merge': {
      const inputs = op.op.value.inputs.map(({ input }) => inputNumber(input, count));
      if (inputs.some((input) => input === undefined)) throw invalid('a merge of nothing');
      return { op: { kind: 'merge' } satisfies MergeOp, inputs: inputs as number[] };
    }
    case 'diff': {
      const { lower, upper } = op.op.value;
      const numbers = {
        lower: lower && inputNumber(lower.input, count),
        upper: upper && inputNumber(upper.input, count),
      };
      return { op: { kind: 'diff', ...defined(numbers) } satisfies DiffOp, inputs: all };
    }
    case 'passthrough': {
      const { id, outputs } = op.op.value;
      if (id === '') throw invalid('invalid passthrough op with no id');
      if (outputs.length === 0) throw invalid('invalid passthrough op with no outputs');
      const beyond = outputs.find((input) => input < 0n || input >= BigInt(count));
      if (beyond !== undefined) throw invalid(`invalid passthrough output input index ${beyond}`);
      const passed = { kind: 'passthrough', id, outputs: outputs.map(Number) } satisfies PassthroughOp;
      return { op: passed, inputs: all };
    }
    case 'build':
      throw unsupported('build ops are not supported');
    default:
      throw invalid('no support for <nil>');
  }
}

function pick({ identifier, attrs }: { identifier: string; attrs: Record<string, string> }) {
  if (!identifier.includes('://')) throw invalid(`failed to parse ${identifier}: invalid`);
  return { identifier, attrs };
}

function execFromPb(exec: PbExecOp, inputs: number): ExecOp {
  const { meta } = exec;
  if (!meta) throw invalid('invalid exec op with no meta');
  if (meta.args.length === 0) throw invalid('invalid exec op with no args');
  if (exec.mounts.length === 0) throw invalid('invalid exec op with no mounts');
  const device = exec.cdiDevices.find(({ optional }) => !optional);
  if (device) throw unsupported(`required device ${JSON.stringify(device.name)} is not registered`);
  const mounts = exec.mounts.map((mount) => mountFromPb(mount, inputs));
  if (exec.network > NetMode.NONE) throw invalid(`invalid network mode ${exec.network}`);
  if (exec.security > SecurityMode.INSECURE) throw invalid(`invalid security mode ${exec.security}`);
  if (!mounts.some(({ dest }) => dest === '/')) throw invalid('invalid exec op with no rootfs');
  const proxy = meta.proxyEnv;
  const proxyEnv = proxy
    ? [
        ['HTTP_PROXY', proxy.httpProxy],
        ['HTTPS_PROXY', proxy.httpsProxy],
        ['FTP_PROXY', proxy.ftpProxy],
        ['NO_PROXY', proxy.noProxy],
        ['ALL_PROXY', proxy.allProxy],
      ].flatMap(([name, value]) => (value ? [`${name}=${value}`, `${name!.toLowerCase()}=${value}`] : []))
    : [];
  return {
    kind: 'exec',
    args: meta.args,
    env: meta.env,
    cwd: meta.cwd || '/',
    user: meta.user,
    network: exec.network === NetMode.HOST ? 'host' : exec.network === NetMode.NONE ? 'none' : 'default',
    security: exec.security === SecurityMode.INSECURE ? 'insecure' : 'sandbox',
    mounts,
    ...(meta.hostname && { hostname: meta.hostname }),
    ...(meta.extraHosts.length > 0 && {
      extraHosts: meta.extraHosts.map(({ Host: host, IP: ip }) => ({ host, ip })),
    }),
    ...(proxyEnv.length > 0 && { proxyEnv }),
    ...(meta.ulimit.length > 0 && {
      ulimits: meta.ulimit.map(({ Name, Soft, Hard }) => ({
        name: Name,
        soft: Number(Soft),
        hard: Number(Hard),
      })),
    }),
    ...(meta.cgroupParent && { cgroupParent: meta.cgroupParent }),
    ...(meta.removeMountStubsRecursive && { removeMountStubsRecursive: true }),
    ...(meta.validExitCodes.length > 0 && { validExitCodes: meta.validExitCodes }),
    ...(exec.secretenv.length > 0 && {
      secretEnv: exec.secretenv.map(({ ID, name, optional }) => ({
        id: ID,
        name,
        ...(optional && { optional }),
      })),
    }),
  };
}

function mountFromPb(mount: Mount, inputs: number): ExecMount {
  if (mount.dest === '') throw invalid('a mount at no path');
  const place = defined({
    input: inputNumber(mount.input, inputs),
    selector: mount.selector || undefined,
    output: outputNumber(mount.output),
    readonly: mount.readonly || undefined,
  });
  const base = { dest: mount.dest, ...place };
  switch (mount.mountType) {
    case MountType.BIND: {
      const { ON, OFF } = MountContentCache;
      if (mount.contentCache === ON) return { ...base, type: 'bind', contentCache: 'on' };
      return mount.contentCache === OFF
        ? { ...base, type: 'bind', contentCache: 'off' }
        : { ...base, type: 'bind' };
    }
    case MountType.CACHE: {
      if (!mount.cacheOpt) throw invalid('a cache mount without options');
      const { ID: id, sharing } = mount.cacheOpt;
      const { PRIVATE, LOCKED } = CacheSharingOpt;
      const how = sharing === PRIVATE ? 'private' : sharing === LOCKED ? 'locked' : 'shared';
      return { ...base, type: 'cache', id, sharing: how };
    }
    case MountType.TMPFS: {
      const size = Number(mount.TmpfsOpt?.size ?? 0n);
      return { ...base, type: 'tmpfs', ...(size > 0 && { size }) };
    }
    case MountType.SECRET: {
      if (!mount.secretOpt) throw invalid('a secret mount without options');
      const { ID: id, uid, gid, mode, optional } = mount.secretOpt;
      const { output: _, ...place } = base;
      return { ...place, type: 'secret', id, uid, gid, mode, ...(optional && { optional }) };
    }
    case MountType.SSH: {
      if (!mount.SSHOpt) throw invalid('an ssh mount without options');
      const { ID: id, uid, gid, mode, optional } = mount.SSHOpt;
      const { output: _, ...place } = base;
      return { ...place, type: 'ssh', id: id || 'default', uid, gid, mode, ...(optional && { optional }) };
    }
    default:
      throw unsupported(`mounts of type ${mount.mountType} are not supported`);
  }
}

function fileFromPb(actions: readonly PbFileAction[], inputs: number): FileOp {
  if (actions.length === 0) throw invalid('invalid file op with no actions');
  return { kind: 'file', actions: actions.map((action, at) => actionFromPb(action, { inputs, at })) };
}

function actionFromPb(action: PbFileAction, { inputs, at }: { inputs: number; at: number }): FileAction {
  const sources = inputs + at;
  const place = defined({
    input: inputNumber(action.input, sources),
    secondaryInput: inputNumber(action.secondaryInput, sources),
    output: outputNumber(action.output),
  });
  switch (action.action.case) {
    case 'copy': {
      const copy = action.action.value;
      const mode = copy.modeStr || (copy.mode >= 0 ? copy.mode.toString(8) : undefined);
      return {
        ...place,
        type: 'copy',
        src: copy.src,
        dest: copy.dest,
        followSymlink: copy.followSymlink,
        dirCopyContents: copy.dirCopyContents,
        unpack: copy.attemptUnpackDockerCompatibility,
        createDestPath: copy.createDestPath,
        allowWildcard: copy.allowWildcard,
        allowEmptyWildcard: copy.allowEmptyWildcard,
        ...defined({ owner: ownerFromPb(copy.owner, inputs), mode, timestamp: timestamp(copy.timestamp) }),
        ...(copy.includePatterns.length > 0 && { includePatterns: copy.includePatterns }),
        ...(copy.excludePatterns.length > 0 && { excludePatterns: copy.excludePatterns }),
        ...(copy.alwaysReplaceExistingDestPaths && { alwaysReplaceExistingDestPaths: true }),
        ...(copy.requiredPaths.length > 0 && { requiredPaths: copy.requiredPaths }),
      };
    }
    case 'mkfile': {
      const { path, mode, data, ...rest } = action.action.value;
      return { ...place, type: 'mkfile', path, mode, data, ...attributes(rest, inputs) };
    }
    case 'mkdir': {
      const { path, mode, makeParents, ...rest } = action.action.value;
      return { ...place, type: 'mkdir', path, mode, makeParents, ...attributes(rest, inputs) };
    }
    case 'rm': {
      const { path, allowNotFound, allowWildcard } = action.action.value;
      return { ...place, type: 'rm', path, allowNotFound, allowWildcard };
    }
    case 'symlink': {
      const { oldpath, newpath, ...rest } = action.action.value;
      return { ...place, type: 'symlink', oldpath, newpath, ...attributes(rest, inputs) };
    }
    default:
      throw invalid('invalid action type <nil>');
  }
}

function attributes({ owner, timestamp: time }: { owner?: ChownOpt; timestamp: bigint }, inputs: number) {
  return defined({ owner: ownerFromPb(owner, inputs), timestamp: timestamp(time) });
}

function ownerFromPb(owner: ChownOpt | undefined, inputs: number): ChownOptions | undefined {
  if (!owner) return undefined;
  return defined({ user: userFromPb(owner.user, inputs), group: userFromPb(owner.group, inputs) });
}

function userFromPb(option: UserOpt | undefined, inputs: number): UserOption | undefined {
  if (option?.user.case === 'byID') return { byId: option.user.value };
  if (option?.user.case !== 'byName') return undefined;
  const { name, input } = option.user.value;
  return { byName: { name, ...defined({ input: inputNumber(input, inputs) }) } };
}

/** -1: none. */
function inputNumber(input: bigint, count: number): number | undefined {
  if (input === -1n) return undefined;
  if (input < 0n || input >= BigInt(count)) throw invalid(`invalid input index ${input}, ${count} provided`);
  return Number(input);
}

const MAX_OUTPUTS = 10_000n;

function outputNumber(output: bigint): number | undefined {
  if (output === -1n) return undefined;
  if (output < 0n || output > MAX_OUTPUTS) throw invalid(`an output that cannot be: ${output}`);
  return Number(output);
}

function timestamp(value: bigint): bigint | undefined {
  return value === -1n ? undefined : value;
}

/** Without the members that are undefined: equal steps have equal digests. */
function defined<T extends object>(members: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never;
}
