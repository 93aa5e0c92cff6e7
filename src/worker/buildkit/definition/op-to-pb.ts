import type { MessageInitShape } from '@bufbuild/protobuf';
import { unsupported } from '#errors/errors.ts';
import type {
  ChownOptions,
  ExecMount,
  ExecOp,
  FileAction,
  FileOwner,
  Op,
  UserOption,
} from '#worker/build/llb/op.ts';
import {
  CacheSharingOpt,
  type ChownOptSchema,
  type FileActionSchema,
  MountContentCache,
  type MountSchema,
  MountType,
  NetMode,
  type OpSchema,
  SecurityMode,
  type UserOptSchema,
} from '../proto/github.com/moby/buildkit/solver/pb/ops_pb.ts';

type PbOp = MessageInitShape<typeof OpSchema>;

/** A step in BuildKit's words, without its inputs. Throws `unsupported` for what those have no word for. */
export function opToPb(op: Op, inputs: number): Pick<PbOp, 'op'> {
  switch (op.kind) {
    case 'source':
      return { op: { case: 'source', value: { identifier: op.identifier, attrs: { ...op.attrs } } } };
    case 'exec':
      return { op: { case: 'exec', value: execToPb(op) } };
    case 'file':
      return { op: { case: 'file', value: { actions: op.actions.map(actionToPb) } } };
    case 'merge': {
      const all = Array.from({ length: inputs }, (_, at) => ({ input: BigInt(at) }));
      return { op: { case: 'merge', value: { inputs: all } } };
    }
    case 'passthrough':
      return { op: { case: 'passthrough', value: { id: op.id, outputs: op.outputs.map(BigInt) } } };
    case 'diff': {
      const [lower, upper] = [{ input: orNone(op.lower) }, { input: orNone(op.upper) }];
      return { op: { case: 'diff', value: { lower, upper } } };
    }
  }
}

function execToPb(op: ExecOp) {
  if (op.volumes?.length || !['default', 'none', 'host'].includes(op.network)) {
    throw unsupported('a step of the classic builder has no definition');
  }
  const proxies = new Map(
    (op.proxyEnv ?? []).map((text) => [text.split('=', 1)[0]!, text.slice(text.indexOf('=') + 1)]),
  );
  return {
    meta: {
      args: [...op.args],
      env: [...op.env],
      cwd: op.cwd,
      user: op.user,
      hostname: op.hostname ?? '',
      extraHosts: (op.extraHosts ?? []).map(({ host, ip }) => ({ Host: host, IP: ip })),
      proxyEnv:
        proxies.size > 0
          ? {
              httpProxy: proxies.get('HTTP_PROXY') ?? '',
              httpsProxy: proxies.get('HTTPS_PROXY') ?? '',
              ftpProxy: proxies.get('FTP_PROXY') ?? '',
              noProxy: proxies.get('NO_PROXY') ?? '',
              allProxy: proxies.get('ALL_PROXY') ?? '',
            }
          : undefined,
      ulimit: (op.ulimits ?? []).map(({ name, soft, hard }) => ({
        Name: name,
        Soft: asInteger(soft),
        Hard: asInteger(hard),
      })),
      cgroupParent: op.cgroupParent ?? '',
      removeMountStubsRecursive: op.removeMountStubsRecursive ?? false,
      validExitCodes: [...(op.validExitCodes ?? [])],
    },
    network: op.network === 'host' ? NetMode.HOST : op.network === 'none' ? NetMode.NONE : NetMode.UNSET,
    security: op.security === 'insecure' ? SecurityMode.INSECURE : SecurityMode.SANDBOX,
    secretenv: (op.secretEnv ?? []).map(({ id, name, optional }) => ({
      ID: id,
      name,
      optional: optional ?? false,
    })),
    mounts: op.mounts.map(mountToPb),
  };
}

function mountToPb(mount: ExecMount): MessageInitShape<typeof MountSchema> {
  const base = {
    dest: mount.dest,
    input: orNone(mount.input),
    output: orNone(mount.output),
    selector: mount.selector ?? '',
    readonly: mount.readonly ?? false,
  };
  switch (mount.type) {
    case 'bind': {
      const { DEFAULT, ON, OFF } = MountContentCache;
      const contentCache = mount.contentCache === 'on' ? ON : mount.contentCache === 'off' ? OFF : DEFAULT;
      return { ...base, mountType: MountType.BIND, contentCache };
    }
    case 'cache': {
      const { SHARED, PRIVATE, LOCKED } = CacheSharingOpt;
      const sharing = { shared: SHARED, private: PRIVATE, locked: LOCKED }[mount.sharing];
      return { ...base, mountType: MountType.CACHE, cacheOpt: { ID: mount.id, sharing } };
    }
    case 'tmpfs':
      return { ...base, mountType: MountType.TMPFS, TmpfsOpt: { size: BigInt(mount.size ?? 0) } };
    case 'secret':
      return { ...base, output: 0n, mountType: MountType.SECRET, secretOpt: fileToPb(mount, 0o400) };
    case 'ssh':
      return { ...base, output: 0n, mountType: MountType.SSH, SSHOpt: fileToPb(mount, 0o600) };
  }
}

function fileToPb(mount: FileOwner & { id: string; optional?: boolean }, mode: number) {
  const { id, uid = 0, gid = 0, optional = false } = mount;
  return { ID: id, uid, gid, mode: mount.mode ?? mode, optional };
}

function actionToPb(action: FileAction): MessageInitShape<typeof FileActionSchema> {
  const place = {
    input: orNone(action.input),
    secondaryInput: orNone(action.secondaryInput),
    output: orNone(action.output),
  };
  switch (action.type) {
    case 'copy': {
      const octal = action.mode !== undefined && /^[0-7]+$/.test(action.mode);
      const value = {
        src: action.src,
        dest: action.dest,
        owner: ownerToPb(action.owner),
        mode: octal ? Number.parseInt(action.mode!, 8) : -1,
        modeStr: octal ? '' : (action.mode ?? ''),
        followSymlink: action.followSymlink,
        dirCopyContents: action.dirCopyContents,
        attemptUnpackDockerCompatibility: action.unpack,
        createDestPath: action.createDestPath,
        allowWildcard: action.allowWildcard,
        allowEmptyWildcard: action.allowEmptyWildcard,
        timestamp: action.timestamp ?? -1n,
        includePatterns: [...(action.includePatterns ?? [])],
        excludePatterns: [...(action.excludePatterns ?? [])],
        alwaysReplaceExistingDestPaths: action.alwaysReplaceExistingDestPaths ?? false,
        requiredPaths: [...(action.requiredPaths ?? [])],
      };
      return { ...place, action: { case: 'copy', value } };
    }
    case 'mkfile': {
      const { path, mode, data } = action;
      return { ...place, action: { case: 'mkfile', value: { path, mode, data, ...attributes(action) } } };
    }
    case 'mkdir': {
      const { path, mode, makeParents } = action;
      return {
        ...place,
        action: { case: 'mkdir', value: { path, mode, makeParents, ...attributes(action) } },
      };
    }
    case 'rm': {
      const { path, allowNotFound, allowWildcard } = action;
      return { ...place, action: { case: 'rm', value: { path, allowNotFound, allowWildcard } } };
    }
    case 'symlink': {
      const { oldpath, newpath } = action;
      return { ...place, action: { case: 'symlink', value: { oldpath, newpath, ...attributes(action) } } };
    }
  }
}

function attributes({ owner, timestamp }: { owner?: ChownOptions; timestamp?: bigint }) {
  return { owner: ownerToPb(owner), timestamp: timestamp ?? -1n };
}

function ownerToPb(owner: ChownOptions | undefined): MessageInitShape<typeof ChownOptSchema> | undefined {
  return owner && { user: userToPb(owner.user), group: userToPb(owner.group) };
}

function userToPb(option: UserOption | undefined): MessageInitShape<typeof UserOptSchema> | undefined {
  if (!option) return undefined;
  if ('byId' in option) return { user: { case: 'byID', value: option.byId } };
  const { name, input } = option.byName;
  return { user: { case: 'byName', value: { name, input: orNone(input) } } };
}

function orNone(number: number | undefined): bigint {
  return number === undefined ? -1n : BigInt(number);
}

/** The largest ones are numbers that JavaScript rounds up, out of what the protocol has room for. */
function asInteger(number: number): bigint {
  const [least, most] = [-(2n ** 63n), 2n ** 63n - 1n];
  const integer = BigInt(number);
  return integer > most ? most : integer < least ? least : integer;
}
