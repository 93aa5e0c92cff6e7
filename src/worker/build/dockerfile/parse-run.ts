import { commandLine } from './command-line.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { readFlags } from './flags.ts';
import type { Instruction, RunInstruction, RunMount } from './instructions.ts';
import type { RawInstruction } from './parse-instruction.ts';

const NETWORKS = ['default', 'none', 'host'] as const;
const SECURITY = ['sandbox', 'insecure'] as const;
const MOUNT_TYPES = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'] as const;
const MOUNT_OPTIONS: Readonly<Record<RunMount['type'], readonly string[]>> = {
  bind: ['source', 'from', 'target', 'readonly'],
  cache: ['id', 'target', 'readonly', 'sharing', 'from', 'source', 'mode', 'uid', 'gid'],
  tmpfs: ['target', 'size'],
  secret: ['id', 'target', 'env', 'required', 'mode', 'uid', 'gid'],
  ssh: ['id', 'target', 'required', 'mode', 'uid', 'gid'],
};
const ALIASES: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
};

export function parseRun(raw: RawInstruction): Instruction {
  const flags = readFlags(raw.flags, { mount: 'values', network: 'value', security: 'value' });
  const command = commandLine(raw.rest);
  if (command.words.length === 0) throw new DockerfileError('RUN requires at least one argument');
  return {
    name: 'RUN',
    command,
    heredocs: command.form === 'shell' ? raw.heredocs : [],
    mounts: flags.values('mount').map(parseMount),
    network: oneOf(flags.value('network'), NETWORKS, 'network mode', 'default'),
    security: oneOf(flags.value('security'), SECURITY, 'security mode', 'sandbox'),
    ...raw.written,
  } satisfies RunInstruction;
}

function parseMount(text: string): RunMount {
  const options = new Map<string, string>();
  for (const field of text.split(',')) {
    const equals = field.indexOf('=');
    const written = (equals < 0 ? field : field.slice(0, equals)).trim().toLowerCase();
    const value = equals < 0 ? 'true' : field.slice(equals + 1);
    if (written === 'rw' || written === 'readwrite')
      options.set('readonly', value === 'false' ? 'true' : 'false');
    else options.set(Object.hasOwn(ALIASES, written) ? ALIASES[written]! : written, value);
  }
  const type = oneOf(options.get('type'), MOUNT_TYPES, 'mount type', 'bind');
  options.delete('type');
  for (const name of options.keys()) {
    if (MOUNT_OPTIONS[type].includes(name)) continue;
    throw new DockerfileError(`unexpected key '${name}' in '${text}' for mount type "${type}"`);
  }
  if (type !== 'secret' && type !== 'ssh' && !options.get('target')) {
    throw new DockerfileError(`target is required for mount type "${type}"`);
  }
  return { type, options };
}

function oneOf<T extends string>(
  value: string | undefined,
  known: readonly T[],
  what: string,
  fallback: T,
): T {
  if (value === undefined) return fallback;
  const found = known.find((candidate) => candidate === value);
  if (found === undefined) throw new DockerfileError(`unsupported ${what} ${JSON.stringify(value)}`);
  return found;
}
