import type { Healthcheck, HistoryEntry, ImageConfig, RunConfig } from '#oci/image-config.ts';
import type { Platform } from '#oci/platform.ts';
import { parseImageConfig } from '#worker/images/config-parser.ts';
import { normalizePlatform } from '../platforms.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const DEFAULT_SHELL: readonly string[] = ['/bin/sh', '-c'];
const WINDOWS_SHELL: readonly string[] = ['cmd', '/S', '/C'];

/** The configuration of the image that a stage is going to be. What an image has besides is not inherited. */
export interface Image {
  author: string | undefined;
  platform: Platform;
  config: MutableRunConfig;
  readonly history: HistoryEntry[];
  diffIds: readonly string[];
}

export interface MutableRunConfig {
  User?: string;
  ExposedPorts?: Set<string>;
  Env?: string[];
  Entrypoint?: readonly string[];
  Cmd?: readonly string[];
  Volumes?: Set<string>;
  WorkingDir?: string;
  Labels?: Map<string, string>;
  StopSignal?: string;
  ArgsEscaped?: boolean;
  Healthcheck?: Healthcheck;
  OnBuild?: readonly string[];
  Shell?: readonly string[];
}

/** What of a configuration images take over from each other. */
export const MEMBERS: ReadonlySet<keyof RunConfig> = new Set<keyof MutableRunConfig>([
  ...(['User', 'ExposedPorts', 'Env', 'Entrypoint', 'Cmd', 'Volumes', 'WorkingDir', 'Labels'] as const),
  ...(['StopSignal', 'ArgsEscaped', 'Healthcheck', 'OnBuild', 'Shell'] as const),
]);

/** What `FROM scratch` is. */
export function emptyImage(platform: Platform): Image {
  const path = platform.os === 'windows' ? {} : { Env: [`PATH=${DEFAULT_PATH}`] };
  return { ...bareImage(platform), config: { ...path, WorkingDir: '/' } };
}

/** Files without any configuration: a directory that stands for a stage. */
export function bareImage(platform: Platform): Image {
  return { author: undefined, platform, config: {}, history: [], diffIds: [] };
}

/** Throws `invalid`. */
export function readImage(config: Uint8Array): Image {
  const parsed = parseImageConfig(config);
  return {
    author: parsed.author,
    platform: platformOf(parsed),
    config: readConfig(parsed.config ?? {}),
    history: (parsed.history ?? []).map(copyHistory),
    diffIds: parsed.rootfs.diff_ids,
  };
}

export function cloneImage(image: Image): Image {
  return { ...image, config: copyConfig(image.config), history: [...image.history] };
}

export function shellOf({ config, platform }: Image): readonly string[] {
  if (config.Shell?.length) return config.Shell;
  return platform.os === 'windows' ? WINDOWS_SHELL : DEFAULT_SHELL;
}

/** Sets a variable in place, or at the end. */
export function setVariable(config: MutableRunConfig, name: string, value: string): void {
  config.Env ??= [];
  const at = config.Env.findIndex((entry) => entry === name || entry.startsWith(`${name}=`));
  if (at < 0) config.Env.push(`${name}=${value}`);
  else config.Env[at] = `${name}=${value}`;
}

/** Members in BuildKit's order; what is empty is left out. */
export function encodeImage(image: Image): Uint8Array {
  const { architecture, os, variant, ...rest } = normalizePlatform(image.platform);
  const value: ImageConfig = {
    ...(image.author && { author: image.author }),
    architecture,
    os,
    ...(rest['os.version'] && { 'os.version': rest['os.version'] }),
    ...(rest['os.features']?.length && { 'os.features': rest['os.features'] }),
    ...(variant && { variant }),
    rootfs: { type: 'layers', diff_ids: image.diffIds as ImageConfig['rootfs']['diff_ids'] },
    ...(image.history.length > 0 && { history: image.history }),
    config: encodeConfig(image.config),
  };
  return Buffer.from(JSON.stringify(value));
}

/** Members in BuildKit's order; what is empty is left out. */
export function encodeConfig(config: MutableRunConfig): RunConfig {
  const fields: [keyof MutableRunConfig, unknown][] = [
    ['User', config.User],
    ['ExposedPorts', setMembers(config.ExposedPorts)],
    ['Env', config.Env],
    ['Entrypoint', config.Entrypoint],
    ['Cmd', config.Cmd],
    ['Volumes', setMembers(config.Volumes)],
    ['WorkingDir', config.WorkingDir],
    ['Labels', members(config.Labels)],
    ['StopSignal', config.StopSignal],
    ['ArgsEscaped', config.ArgsEscaped],
    ['Healthcheck', config.Healthcheck],
    ['OnBuild', config.OnBuild],
    ['Shell', config.Shell],
  ];
  return Object.fromEntries(fields.filter(([, value]) => !isEmpty(value)));
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return !value;
}

function setMembers(set: ReadonlySet<string> | undefined): Record<string, object> | undefined {
  return set && members(new Map([...set].map((name) => [name, {}])));
}

function members<T>(map: ReadonlyMap<string, T> | undefined): Record<string, T> | undefined {
  return map && Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function platformOf(config: ImageConfig): Platform {
  const { os, architecture, variant } = config;
  return {
    os,
    architecture,
    ...(variant && { variant }),
    ...(config['os.version'] && { 'os.version': config['os.version'] }),
    ...(config['os.features']?.length && { 'os.features': config['os.features'] }),
  };
}

/** What is in `MEMBERS` of it. */
export function readConfig(from: RunConfig): MutableRunConfig {
  const { User, WorkingDir, StopSignal, ArgsEscaped, Healthcheck } = from;
  return {
    ...(User && { User }),
    ...(from.ExposedPorts && { ExposedPorts: new Set(Object.keys(from.ExposedPorts)) }),
    ...(from.Env && { Env: [...from.Env] }),
    ...(from.Entrypoint && { Entrypoint: from.Entrypoint }),
    ...(from.Cmd && { Cmd: from.Cmd }),
    ...(from.Volumes && { Volumes: new Set(Object.keys(from.Volumes)) }),
    ...(WorkingDir && { WorkingDir }),
    ...(from.Labels && { Labels: new Map(Object.entries(from.Labels)) }),
    ...(StopSignal && { StopSignal }),
    ...(ArgsEscaped && { ArgsEscaped }),
    ...(Healthcheck && { Healthcheck }),
    ...(from.OnBuild && { OnBuild: from.OnBuild }),
    ...(from.Shell && { Shell: from.Shell }),
  };
}

function copyConfig(from: MutableRunConfig): MutableRunConfig {
  return {
    ...from,
    ...(from.ExposedPorts && { ExposedPorts: new Set(from.ExposedPorts) }),
    ...(from.Env && { Env: [...from.Env] }),
    ...(from.Volumes && { Volumes: new Set(from.Volumes) }),
    ...(from.Labels && { Labels: new Map(from.Labels) }),
  };
}

function copyHistory(entry: HistoryEntry): HistoryEntry {
  const { created, created_by, author, comment, empty_layer } = entry;
  return {
    ...(created && { created }),
    ...(created_by && { created_by }),
    ...(author && { author }),
    ...(comment && { comment }),
    ...(empty_layer && { empty_layer }),
  };
}
