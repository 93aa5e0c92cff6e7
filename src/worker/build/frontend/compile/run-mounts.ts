import { posix } from 'node:path';
import { cleanPath } from '../../context/clean-path.ts';
import { DockerfileError } from '../../dockerfile/dockerfile-error.ts';
import type { RunInstruction } from '../../dockerfile/instructions.ts';
import type { Mount } from '../../dockerfile/run-mount.ts';
import type { ExecMount, FileOwner, SecretEnv } from '../../llb/op.ts';
import type { Draft } from '../graph/draft.ts';
import { fileEdge, type Inputs } from '../graph/file-draft.ts';
import { joinPath } from '../paths.ts';
import type { Compilation } from './compilation.ts';
import type { Command, Stage } from './stage.ts';

/** A mount that gets its number among the inputs when they are known. */
export interface PlannedMount {
  readonly type: ExecMount['type'];
  readonly dest: string;
  readonly mount: (inputs: Inputs) => ExecMount;
}

export interface PlannedMounts {
  readonly mounts: readonly PlannedMount[];
  readonly secretEnv: readonly SecretEnv[];
  /** Where the first agent's socket is. */
  readonly agentSocket: string | undefined;
}

const CACHE_DIRECTORY = '/cache';

/** RUN's `--mount`s. Throws `DockerfileError`. */
export function planMounts(
  compilation: Compilation,
  stage: Stage,
  command: Command,
  mounts: readonly Mount[],
): PlannedMounts {
  const instruction = command.instruction as RunInstruction;
  const { steps } = compilation.options;
  const planned: PlannedMount[] = [];
  const secretEnv: SecretEnv[] = [];
  const agents: string[] = [];
  for (const [at, mount] of mounts.entries()) {
    if (mount.type === 'secret') {
      const secret = planSecret(stage, mount, instruction);
      planned.push(...secret.mounts);
      secretEnv.push(...secret.env);
    } else if (mount.type === 'ssh') {
      const agent = planAgent(stage, mount, instruction, agents.length);
      agents.push(agent.dest);
      planned.push(fixed(agent));
    } else planned.push(planFiles(compilation, stage, mount, command.sources[at]));
  }
  if (steps.shmSize !== undefined) {
    const { shmSize } = steps;
    planned.push(fixed({ type: 'tmpfs', dest: '/dev/shm', size: shmSize }));
  }
  return { mounts: planned, secretEnv, agentSocket: agents[0] };
}

function planFiles(
  compilation: Compilation,
  stage: Stage,
  mount: Mount,
  source: Stage | undefined,
): PlannedMount {
  if (source && !source.compiled) {
    throw new DockerfileError(
      `cannot mount from stage ${JSON.stringify(mount.from)} to ${JSON.stringify(mount.target ?? '')}, stage needs to be defined before current command`,
    );
  }
  const dest = destinationOf(stage, mount);
  const { readOnly } = mount;
  if (mount.type === 'tmpfs') {
    const size = mount.sizeLimit;
    return fixed({ type: 'tmpfs', dest, ...(size && { size }), ...(readOnly && { readonly: true }) });
  }
  const path = joinPath('/', mount.source ?? '');
  if (source) source.paths.add(path);
  else if (mount.type === 'bind') stage.contextPaths.add(path);

  const files = mountedFiles(compilation, mount, source);
  const own = path === '/' && hasOwner(mount);
  const tree = own ? ownedDirectory(compilation, files, mount) : files;
  const selector = own ? CACHE_DIRECTORY : path;
  const place = (inputs: Inputs) => ({
    dest,
    ...(tree && { input: inputs.add(tree.edge) }),
    ...(selector !== '/' && { selector }),
    ...(readOnly && { readonly: true }),
  });
  if (mount.type === 'bind')
    return { type: 'bind', dest, mount: (inputs) => ({ type: 'bind', ...place(inputs) }) };
  const id = `${compilation.options.cacheNamespace}/${mount.id || cleanPath(mount.target ?? '')}`;
  const sharing = mount.sharing ?? 'shared';
  return { type: 'cache', dest, mount: (inputs) => ({ type: 'cache', id, sharing, ...place(inputs) }) };
}

/** A mount of nothing that has a number. */
function fixed(mount: ExecMount): PlannedMount {
  return { type: mount.type, dest: mount.dest, mount: () => mount };
}

function mountedFiles(compilation: Compilation, mount: Mount, source: Stage | undefined): Draft | undefined {
  if (source) return source.files;
  return mount.type === 'bind' && !mount.from ? compilation.context : undefined;
}

function destinationOf(stage: Stage, { target = '' }: Mount): string {
  const dest = target.startsWith('/') ? target : joinPath('/', stage.directory, target);
  if (dest === '/') throw new DockerfileError(`invalid mount target ${JSON.stringify(dest)}`);
  return dest;
}

function hasOwner({ uid, gid, mode }: Mount): boolean {
  return uid !== undefined || gid !== undefined || mode !== undefined;
}

/** What a new cache begins as, when it is to belong to somebody. */
function ownedDirectory(
  { drafts }: Compilation,
  base: Draft | undefined,
  { uid = 0, gid = 0, mode = 0o755 }: Mount,
): Draft {
  return drafts.add(() =>
    fileEdge(
      base,
      [
        {
          type: 'mkdir',
          path: CACHE_DIRECTORY,
          mode: mode & 0o777,
          makeParents: false,
          owner: { user: uid, group: gid },
        },
      ],
      { name: '[internal] setting cache mount permissions' },
    ),
  );
}

function planSecret(stage: Stage, mount: Mount, instruction: RunInstruction) {
  const { target, env, required } = mount;
  const id = mount.source || mount.id || posix.basename(target ?? '');
  if (!id) throw new DockerfileError('one of source, target required');
  const { secrets } = stage.outline;
  if (!secrets.has(id)) secrets.set(id, { required, range: instruction.range });
  const optional = required ? {} : { optional: true };
  const dest = target || (env === undefined ? `/run/secrets/${posix.basename(id)}` : undefined);
  const mounted: ExecMount[] = dest
    ? [{ type: 'secret', dest, id, ...optional, ...ownerOf(mount, 0o400) }]
    : [];
  return {
    mounts: mounted.map(fixed),
    env: env === undefined ? [] : [{ id, name: env, ...optional }],
  };
}

function planAgent(stage: Stage, mount: Mount, instruction: RunInstruction, number: number): ExecMount {
  const { required } = mount;
  if (mount.source) throw new DockerfileError('ssh does not support source');
  const id = mount.id || 'default';
  const { ssh } = stage.outline;
  if (!ssh.has(id)) ssh.set(id, { required, range: instruction.range });
  return {
    type: 'ssh',
    dest: mount.target || `/run/buildkit/ssh_agent.${number}`,
    id,
    ...(!required && { optional: true }),
    ...ownerOf(mount, 0o600),
  };
}

function ownerOf({ uid = 0, gid = 0, mode }: Mount, fallback: number): Required<FileOwner> {
  return { uid, gid, mode: mode ?? fallback };
}
