import { type Digest, digestOf } from '#oci/digest.ts';
import { hostPlatform, type Platform } from '#oci/platform.ts';
import { absolutePath } from '../../files/root-path.ts';
import type { ChownOptions, ExecMount, ExecOp, FileAction, FileOp, UserOption } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import { type GoValue, goJson, unlessZero } from './go-json.ts';

/** What BuildKit's solver calls a vertex's cache map: what makes it, and what it looks at of each input. */
export interface PortableMap {
  readonly digest: Digest;
  /** By input; undefined: all of it, as it is. */
  readonly selectors: readonly (Digest | undefined)[];
}

/**
 * The cache map that BuildKit has for a vertex (solver/llbsolver/ops), so that its records are ours and ours are its.
 * undefined for sources, for what only the classic builder has, and for what makes nothing.
 */
export function portableMap(vertex: Vertex): PortableMap | undefined {
  const { op, inputs } = vertex;
  switch (op.kind) {
    case 'source':
    case 'passthrough':
      return undefined;
    case 'exec':
      return execMap(op, vertex);
    case 'file':
      return fileMap(op, inputs.length);
    case 'merge': {
      const merged = inputs.map((_, at) => ({ input: unlessZero(at) }));
      const map = { Type: 'buildkit.merge.v0', Merge: { inputs: unlessZero(merged) } };
      return { digest: digestOf(goJson(map)), selectors: inputs.map(() => undefined) };
    }
    case 'diff': {
      const side = (input: number | undefined) => ({ input: unlessZero(input ?? -1) });
      const map = { Type: 'buildkit.diff.v0', Diff: { lower: side(op.lower), upper: side(op.upper) } };
      return { digest: digestOf(goJson(map)), selectors: inputs.map(() => undefined) };
    }
  }
}

function execMap(op: ExecOp, { inputs, platform = hostPlatform() }: Vertex): PortableMap | undefined {
  if (op.volumes?.length || !['default', 'none', 'host'].includes(op.network)) return undefined;
  const [only, ...others] = op.mounts;
  // The one mount of most commands was forgotten once, and is left out since.
  const isPlain = only?.type === 'bind' && only.dest === '/' && !only.readonly && others.length === 0;
  const map = {
    Type: 'buildkit.exec.v0',
    Exec: {
      meta: {
        args: unlessZero(op.args),
        env: unlessZero(op.env),
        cwd: unlessZero(op.cwd),
        user: unlessZero(op.user),
        extraHosts: unlessZero((op.extraHosts ?? []).map(({ host }) => ({ Host: unlessZero(host) }))),
        hostname: unlessZero(op.hostname),
        ulimit: unlessZero(
          (op.ulimits ?? []).map(({ name, soft, hard }) => ({
            Name: unlessZero(name),
            Soft: unlessZero(soft),
            Hard: unlessZero(hard),
          })),
        ),
        cgroupParent: unlessZero(op.cgroupParent),
        removeMountStubsRecursive: unlessZero(op.removeMountStubsRecursive),
        validExitCodes: unlessZero(op.validExitCodes),
      },
      mounts: isPlain ? undefined : unlessZero(op.mounts.map(mountOf)),
      network: unlessZero(op.network === 'host' ? 1 : op.network === 'none' ? 2 : 0),
      security: unlessZero(op.security === 'insecure' ? 1 : 0),
      secretenv: unlessZero(
        (op.secretEnv ?? []).map(({ id, name, optional }) => ({
          ID: unlessZero(id),
          name: unlessZero(name),
          optional: unlessZero(optional),
        })),
      ),
    },
    ...platformOf(platform),
  };
  const selectors = inputs.map((_, at) => {
    const mounts = op.mounts.filter(
      ({ input, type }) => input === at && (type === 'bind' || type === 'cache'),
    );
    return mounts.length > 0
      ? digestOf(mounts.map(({ selector = '' }) => absolutePath(selector)).join('\0'))
      : undefined;
  });
  return { digest: digestOf(goJson(map)), selectors };
}

/** As its members are named where an image's or a command's platform counts. */
export function platformOf({ os, architecture, variant, 'os.version': version }: Platform) {
  return {
    OS: os,
    Arch: architecture,
    Variant: unlessZero(architecture === 'arm64' && variant === 'v8' ? '' : variant),
    OSVersion: unlessZero(version),
  };
}

const MOUNT_TYPES = { bind: 0, secret: 1, ssh: 2, cache: 3, tmpfs: 4 } as const;
const CONTENT_CACHE = { auto: 0, on: 1, off: 2 } as const;

function mountOf(mount: ExecMount): GoValue {
  const file = (type: 'secret' | 'ssh') =>
    mount.type === type
      ? {
          ID: unlessZero(mount.id),
          uid: unlessZero(mount.uid),
          gid: unlessZero(mount.gid),
          mode: unlessZero(mount.mode),
          optional: unlessZero(mount.optional),
        }
      : undefined;
  return {
    input: unlessZero(mount.input ?? -1),
    dest: unlessZero(mount.dest),
    output: unlessZero(mount.output ?? -1),
    readonly: unlessZero(mount.readonly),
    mountType: unlessZero(MOUNT_TYPES[mount.type]),
    TmpfsOpt: mount.type === 'tmpfs' ? { size: unlessZero(mount.size) } : undefined,
    cacheOpt: mount.type === 'cache' ? cacheOf(mount) : undefined,
    secretOpt: file('secret'),
    SSHOpt: file('ssh'),
    contentCache: mount.type === 'bind' ? unlessZero(CONTENT_CACHE[mount.contentCache ?? 'auto']) : undefined,
  };
}

/** Which cache a mount has does not count, unless it is the one that a Dockerfile gives by itself. */
function cacheOf({ id, dest, sharing }: ExecMount & { type: 'cache' }): GoValue {
  const inNamespace = id.includes('/') && id.slice(id.indexOf('/') + 1) === dest;
  if (sharing === 'shared' && (id === dest || inNamespace)) return { ID: unlessZero(id) };
  return {};
}

function fileMap(op: FileOp, inputs: number): PortableMap {
  const changed = new Set(op.actions.map(({ input }) => input));
  const paths = Array.from({ length: inputs }, (): string[] => []);
  const select = (input: number | undefined, path: string) => {
    if (input !== undefined) paths[input]?.push(path);
  };
  for (const action of op.actions) {
    if ('owner' in action && action.type !== 'symlink') {
      select(namedIn(action.owner?.user), '/etc/passwd');
      select(namedIn(action.owner?.group), '/etc/group');
    }
    if (action.type === 'copy') select(action.secondaryInput, action.src);
  }
  const places = op.actions.map(({ input = -1, secondaryInput = -1, output = -1 }) => [
    input,
    secondaryInput,
    output,
  ]);
  const map = {
    Type: 'buildkit.file.v0',
    Actions: op.actions.map((action) => Buffer.from(goJson(actionOf(action, inputs))).toString('base64')),
    indexes: isUsual(places) ? undefined : places,
  };
  const selectors = paths.map((selected, at) => {
    if (changed.has(at) || selected.length === 0) return undefined;
    const sorted = selected.map((path) => Buffer.from(path)).sort((a, b) => Buffer.compare(b, a));
    return digestOf(sorted.map((path) => path.toString()).join('\0'));
  });
  return { digest: digestOf(goJson(map)), selectors };
}

/** One action after the other on the first input, with the second to copy from. */
function isUsual(places: readonly (readonly number[])[]): boolean {
  return places.every(([input, secondary, output], at) => {
    const before = at === 0 ? 0 : places.length + at - 1;
    const last = at === places.length - 1;
    return input === before && (secondary === -1 || secondary === 1) && output === (last ? 0 : -1);
  });
}

function actionOf(action: FileAction, inputs: number): GoValue {
  switch (action.type) {
    case 'copy': {
      const fromInput = action.secondaryInput !== undefined && action.secondaryInput < inputs;
      const octal = action.mode !== undefined && /^[0-7]+$/.test(action.mode);
      return {
        src: unlessZero(fromInput ? baseName(action.src) : action.src),
        dest: unlessZero(action.dest),
        owner: ownerOf(action.owner),
        mode: unlessZero(octal ? Number.parseInt(action.mode!, 8) : -1),
        followSymlink: unlessZero(action.followSymlink),
        dirCopyContents: unlessZero(action.dirCopyContents),
        attemptUnpackDockerCompatibility: unlessZero(action.unpack),
        createDestPath: unlessZero(action.createDestPath),
        allowWildcard: unlessZero(action.allowWildcard),
        allowEmptyWildcard: unlessZero(action.allowEmptyWildcard),
        timestamp: unlessZero(action.timestamp ?? -1n),
        include_patterns: unlessZero(action.includePatterns),
        exclude_patterns: unlessZero(action.excludePatterns),
        alwaysReplaceExistingDestPaths: unlessZero(action.alwaysReplaceExistingDestPaths),
        modeStr: unlessZero(octal ? '' : action.mode),
        required_paths: unlessZero(action.requiredPaths),
      };
    }
    case 'mkfile':
      return {
        path: unlessZero(action.path),
        mode: unlessZero(action.mode),
        data: unlessZero(Buffer.from(action.data).toString('base64')),
        ...attributes(action),
      };
    case 'mkdir':
      return {
        path: unlessZero(action.path),
        mode: unlessZero(action.mode),
        makeParents: unlessZero(action.makeParents),
        ...attributes(action),
      };
    case 'symlink':
      return {
        oldpath: unlessZero(action.oldpath),
        newpath: unlessZero(action.newpath),
        ...attributes(action),
      };
    case 'rm':
      return {
        path: unlessZero(action.path),
        allowNotFound: unlessZero(action.allowNotFound),
        allowWildcard: unlessZero(action.allowWildcard),
      };
  }
}

function attributes({ owner, timestamp }: { owner?: ChownOptions; timestamp?: bigint }) {
  return { owner: ownerOf(owner), timestamp: unlessZero(timestamp ?? -1n) };
}

function ownerOf(owner: ChownOptions | undefined): GoValue | undefined {
  return owner && { user: userOf(owner.user), group: userOf(owner.group) };
}

function userOf(option: UserOption | undefined): GoValue | undefined {
  if (!option) return undefined;
  if ('byId' in option) return { User: { byId: unlessZero(option.byId) } };
  const { name, input = -1 } = option.byName;
  return { User: { byName: { name: unlessZero(name), input: unlessZero(input) } } };
}

function namedIn(option: UserOption | undefined): number | undefined {
  return option && 'byName' in option ? option.byName.input : undefined;
}

/** Go's path.Base. */
function baseName(path: string): string {
  return path.replace(/\/+$/, '').split('/').at(-1) || (path.startsWith('/') ? '/' : '.');
}
