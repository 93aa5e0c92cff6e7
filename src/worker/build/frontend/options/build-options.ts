import { invalid } from '#errors/errors.ts';
import type { Platform } from '#oci/platform.ts';
import type { ResolveMode } from '../graph/sources.ts';
import { readPlatform } from '../platforms.ts';
import { readExtraHosts, readShmSize, readUlimits } from './step-options.ts';

/** What a client asks for besides the Dockerfile: BuildKit's `FrontendAttrs`, read. */
export interface BuildOptions {
  /** Empty: the last stage. */
  readonly target: string;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  /** Empty: the builder's own. */
  readonly platforms: readonly Platform[];
  /** Results are keyed by platform, even a single one. */
  readonly multiPlatform: boolean;
  readonly resolveMode: ResolveMode;
  readonly steps: StepOptions;
  /** In front of cache mounts' IDs. */
  readonly cacheNamespace: string;
  /** Stages that are not looked up in the cache. */
  readonly noCache: 'all' | ReadonlySet<string>;
  /** As of a `check` directive, which it replaces. */
  readonly check?: string;
}

/** What every RUN gets. */
export interface StepOptions {
  /** `default`, `none`, `host`; or, for the classic builder, a network's name. */
  readonly network: string;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  /** Bytes of /dev/shm. */
  readonly shmSize?: number;
  readonly cgroupParent?: string;
  readonly hostname?: string;
  /** What VOLUME declares is there while a command runs, as the classic builder has it. */
  readonly makesVolumes?: boolean;
}

type Attributes = Readonly<Record<string, string>>;

/** Throws `invalid`. */
export function readBuildOptions(attributes: Attributes): BuildOptions {
  const platforms = readPlatforms(attributes.platform);
  const check = attributes['build-arg:BUILDKIT_DOCKERFILE_CHECK'];
  return {
    target: attributes.target ?? '',
    buildArgs: withPrefix(attributes, 'build-arg:'),
    labels: withPrefix(attributes, 'label:'),
    platforms,
    multiPlatform: readMultiPlatform(attributes, platforms.length > 1),
    resolveMode: readResolveMode(attributes['image-resolve-mode']),
    steps: readStepOptions(attributes),
    cacheNamespace: attributes['build-arg:BUILDKIT_CACHE_MOUNT_NS'] ?? '',
    noCache: readNoCache(attributes['no-cache']),
    ...(check !== undefined && { check }),
  };
}

export function ignoresCache({ noCache }: BuildOptions, stage: string): boolean {
  return noCache === 'all' || noCache.has(stage.toLowerCase());
}

/** `strconv.ParseBool`'s words. Throws `invalid`. */
export function readBoolean(what: string, text: string): boolean {
  if (/^(?:1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(?:0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw invalid(`invalid boolean value for ${what}: ${text}`);
}

function readStepOptions(attributes: Attributes): StepOptions {
  const shmSize = readShmSize(attributes['shm-size'] ?? '');
  const hostname = attributes['build-arg:BUILDKIT_SANDBOX_HOSTNAME'] || attributes.hostname;
  const cgroupParent = attributes['cgroup-parent'];
  return {
    network: readNetwork(attributes['force-network-mode']),
    extraHosts: readExtraHosts(attributes['add-hosts'] ?? ''),
    ulimits: readUlimits(attributes.ulimit ?? ''),
    ...(shmSize > 0 && { shmSize }),
    ...(cgroupParent && { cgroupParent }),
    ...(hostname && { hostname }),
  };
}

function readPlatforms(text: string | undefined): readonly Platform[] {
  if (!text) return [];
  return text.split(',').map((one) => {
    try {
      return readPlatform(one);
    } catch (cause) {
      throw invalid(`failed to parse target platform ${one}`, { cause });
    }
  });
}

function readMultiPlatform(attributes: Attributes, several: boolean): boolean {
  const text = attributes['build-arg:BUILDKIT_MULTI_PLATFORM'] || attributes['multi-platform'];
  if (!text) return several;
  const asked = readBoolean('multi-platform', text);
  if (!asked && several) {
    throw invalid('conflicting config: returning multiple target platforms is not allowed');
  }
  return asked;
}

function readResolveMode(text: string | undefined): ResolveMode {
  if (!text || text === 'default') return 'default';
  if (text === 'pull' || text === 'local') return text;
  throw invalid(`invalid image-resolve-mode: ${text}`);
}

function readNetwork(text: string | undefined): StepOptions['network'] {
  if (!text || text === 'sandbox' || text === 'default') return 'default';
  if (text === 'none' || text === 'host') return text;
  throw invalid(`invalid netmode ${text}`);
}

function readNoCache(text: string | undefined): BuildOptions['noCache'] {
  if (text === undefined) return new Set();
  return text === '' ? 'all' : new Set(text.toLowerCase().split(','));
}

function withPrefix(attributes: Attributes, prefix: string): ReadonlyMap<string, string> {
  const entries = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(
    entries.flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value] as const] : [],
    ),
  );
}
