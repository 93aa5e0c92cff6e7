import { posix } from 'node:path';
import { invalid } from '#errors/errors.ts';
import type { MountPoint } from '../container.ts';
import type { MountSpec } from '../host-config.ts';

const PROPAGATION = ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'];
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** `-v [source:]target[:mode]`. Throws `invalid`. */
export function parseBind(text: string, volumeDriver: string): MountPoint {
  const parts = text.split(':');
  const refuse = (why = ''): never => {
    throw invalid(`invalid volume specification: '${text}'${why && `: ${why}`}`);
  };
  if (parts.length > 3 || parts[0] === '') refuse();
  if (parts.length === 2 && isMountMode(parts[1]!)) refuse();
  const [source, target, mode = ''] =
    parts.length === 1 ? ['', parts[0]!] : (parts as [string, string, string?]);
  if (!isMountMode(mode)) throw invalid(`invalid mode: ${mode}`);
  const type = source.startsWith('/') ? 'bind' : 'volume';
  const destination = cleanTarget(target, (why) => refuse(`invalid mount config for type "${type}": ${why}`));
  const options = mode.split(',');
  const common = {
    destination,
    mode,
    writable: !options.includes('ro'),
    copyData: !options.includes('nocopy'),
    createSource: true,
  };
  if (type === 'bind') {
    const propagation = options.find((option) => PROPAGATION.includes(option)) ?? 'rprivate';
    return { ...common, type: 'bind', source: cleanPath(source), propagation, copyData: false };
  }
  if (source !== '' && !VOLUME_NAME.test(source)) {
    throw invalid(
      `create ${source}: ${JSON.stringify(source)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
  return {
    ...common,
    type: 'volume',
    ...(source !== '' && { name: source }),
    source: '',
    driver: volumeDriver || 'local',
    mode: mode || 'z',
    propagation: '',
  };
}

/** `--mount`. Throws `invalid`. */
export function parseMountSpec(spec: MountSpec): MountPoint {
  const refuse = (why: string): never => {
    throw invalid(`invalid mount config for type ${JSON.stringify(spec.Type)}: ${why}`);
  };
  refuseForeignOptions(spec, refuse);
  if (spec.Target === '') refuse('field Target must not be empty');
  const destination = cleanTarget(spec.Target, refuse);
  const common = { destination, writable: !spec.ReadOnly, mode: '', createSource: false, spec };
  switch (spec.Type) {
    case 'bind':
      return { ...common, ...parseBindSpec(spec, refuse) };
    case 'volume': {
      const { VolumeOptions: options, Source: name = '' } = spec;
      if (options?.Subpath) {
        if (name === '') refuse('must not set Subpath when using anonymous volumes');
        if (!isLocalPath(options.Subpath)) refuse('subpath must be a relative path within the volume');
      }
      if (name !== '' && !VOLUME_NAME.test(name)) {
        throw invalid(
          `create ${name}: ${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
        );
      }
      return {
        ...common,
        type: 'volume',
        ...(name !== '' && { name }),
        source: '',
        driver: options?.DriverConfig?.Name || 'local',
        mode: 'z',
        propagation: '',
        copyData: !options?.NoCopy,
      };
    }
    case 'tmpfs':
      if (spec.Source) refuse('field Source must not be specified');
      return { ...common, type: 'tmpfs', source: '', propagation: '', copyData: false };
    default:
      return refuse('mount type unknown');
  }
}

/** `--volumes-from container[:mode]`. Throws `invalid`. */
export function parseVolumesFrom(text: string): { container: string; writable: boolean } {
  const [container = '', mode = 'rw'] = text.split(':', 2);
  if (container === '') throw invalid('volumes-from specification cannot be an empty string');
  const options = mode.split(',');
  if (!isMountMode(mode) || options.some((option) => PROPAGATION.includes(option) || option === 'nocopy')) {
    throw invalid(`invalid mode: ${mode}`);
  }
  return { container, writable: !options.includes('ro') };
}

/** Options of a tmpfs, as mount(8) takes them, from `--mount type=tmpfs`. */
export function tmpfsOptions(spec: MountSpec | undefined): string[] {
  const options = spec?.TmpfsOptions;
  return [
    ...(options?.Mode ? [`mode=${options.Mode.toString(8)}`] : []),
    ...(options?.SizeBytes ? [`size=${options.SizeBytes}`] : []),
    ...(options?.Options ?? []).map((option) => option.join('=')),
  ];
}

function parseBindSpec(
  spec: MountSpec,
  refuse: (why: string) => never,
): Pick<MountPoint, 'type' | 'source' | 'propagation' | 'copyData' | 'createSource'> {
  const { BindOptions: options, Source: source = '' } = spec;
  if (source === '') refuse('field Source must not be empty');
  const propagation = options?.Propagation || 'rprivate';
  if (!PROPAGATION.includes(propagation)) refuse(`invalid propagation mode: ${propagation}`);
  if (!source.startsWith('/')) refuse(`invalid mount path: '${source}' mount path must be absolute`);
  return {
    type: 'bind',
    source: cleanPath(source),
    propagation,
    copyData: false,
    createSource: options?.CreateMountpoint ?? false,
  };
}

function refuseForeignOptions(spec: MountSpec, refuse: (why: string) => never): void {
  const owners = {
    BindOptions: 'bind',
    VolumeOptions: 'volume',
    ImageOptions: 'image',
    TmpfsOptions: 'tmpfs',
  };
  for (const [field, type] of Object.entries(owners)) {
    if (spec.Type !== type && spec[field as keyof MountSpec]) refuse(`field ${field} must not be specified`);
  }
}

function isMountMode(mode: string): boolean {
  if (mode === '') return true;
  const groups = [
    ['rw', 'ro'],
    ['z', 'Z'],
    PROPAGATION,
    ['nocopy', 'copy'],
    ['consistent', 'cached', 'delegated'],
  ];
  const used = mode.split(',').map((option) => groups.findIndex((group) => group.includes(option)));
  return !used.includes(-1) && new Set(used).size === used.length;
}

function cleanTarget(target: string, refuse: (why: string) => never): string {
  if (!target.startsWith('/')) refuse(`invalid mount path: '${target}' mount path must be absolute`);
  const clean = cleanPath(target);
  if (clean === '/') refuse("invalid specification: destination can't be '/'");
  return clean;
}

export function cleanPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 ? clean.replace(/\/$/, '') : clean;
}

function isLocalPath(path: string): boolean {
  const clean = posix.normalize(path);
  return !clean.startsWith('/') && clean !== '..' && !clean.startsWith('../');
}
