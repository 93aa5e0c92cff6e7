import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, YAMLParseError } from 'yaml';
import type { z } from 'zod';
import { messageOf } from '#errors/errors.ts';
import { isLoopback, parseListenAddress } from './address.ts';
import { ConfigError } from './config-error.ts';
import { settingsFromEnvironment } from './environment.ts';
import { type Config, configSchema } from './schema.ts';
import { at, isSettings, leaves, overlay, type Settings } from './settings.ts';
import { parseValue } from './value.ts';

export interface ConfigSources {
  /** The file given with --config; `SLIPWAY_CONFIG` when there is none. */
  readonly file?: string | undefined;
  /** `key=value` pairs given with --set. */
  readonly set?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  readonly root?: boolean;
}

const defaultFile = fileURLToPath(new URL('../../config/default.yaml', import.meta.url));

/**
 * Reads the settings: defaults, then the file, then the environment, then --set. Throws `ConfigError` for an
 * unknown key, a bad value or a file that cannot be read.
 */
export function loadConfig(sources: ConfigSources = {}): Config {
  const environment = sources.environment ?? process.env;
  const file = sources.file ?? environment.SLIPWAY_CONFIG;
  const layers: [source: string, settings: Settings][] = [['config/default.yaml', readSettings(defaultFile)]];
  if (file) layers.push([file, readSettings(file)]);
  layers.push(['environment', settingsFromEnvironment(configSchema, environment)]);
  layers.push(['--set', settingsFromFlags(sources.set ?? [])]);

  const merged = layers.reduce<Settings>((below, [, over]) => overlay(below, over), {});
  const parsed = configSchema.safeParse(merged);
  if (!parsed.success) throw describe(parsed.error, layers);
  return complete(parsed.data, environment, sources.root ?? process.getuid?.() === 0);
}

function complete(
  parsed: z.infer<typeof configSchema>,
  environment: NodeJS.ProcessEnv,
  root: boolean,
): Config {
  const home = environment.HOME ?? homedir();
  const dataDir =
    parsed.dataDir ??
    (root ? '/var/lib/slipway' : join(environment.XDG_DATA_HOME ?? join(home, '.local/share'), 'slipway'));
  const runDir =
    parsed.runDir ??
    (root
      ? '/run/slipway'
      : environment.XDG_RUNTIME_DIR
        ? join(environment.XDG_RUNTIME_DIR, 'slipway')
        : join(dataDir, 'run'));
  const own = ownRegistry(parsed.registry);
  const registryMirrors = parsed.worker.registryMirrors ?? (own ? [`http://${own}`] : []);
  const { build } = parsed.worker;
  const cacheRepository = build.cacheRepository && completeRepository(build.cacheRepository, own);
  const worker = { ...parsed.worker, registryMirrors, build: { ...build, cacheRepository } };
  return { ...parsed, dataDir, runDir, worker };
}

/** Without a host it is one of our own registry's. */
function completeRepository(name: string, own: string | undefined): string | null {
  if (/^(?:[^/]*[.:][^/]*|localhost)\//.test(name)) return name;
  return own ? `${own}/${name}` : null;
}

/** Slipway's own registry, where a worker beside it reaches it without a certificate or an account. */
function ownRegistry({ listen, tls }: z.infer<typeof configSchema>['registry']): string | undefined {
  const address = parseListenAddress(listen);
  const near = address !== undefined && 'host' in address && isLoopback(address.host);
  return near && tls.certificate === null ? listen : undefined;
}

function readSettings(file: string): Settings {
  try {
    const settings: unknown = parse(readFileSync(file, 'utf8')) ?? {};
    if (!isSettings(settings)) throw new ConfigError(`${file}: expected settings, got ${typeof settings}`);
    return settings;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const message = messageOf(error);
    throw new ConfigError(`${file}: ${error instanceof YAMLParseError ? message.split('\n')[0] : message}`);
  }
}

function settingsFromFlags(pairs: readonly string[]): Settings {
  const known = new Map(leaves(configSchema));
  return pairs.reduce<Settings>((settings, pair) => {
    const [, path, text] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
    if (path === undefined || text === undefined) throw new ConfigError(`--set ${pair}: expected key=value`);
    const leaf = known.get(path);
    if (!leaf) throw new ConfigError(`--set: ${path}: unknown setting`);
    return overlay(settings, at(path, parseValue(text, leaf)));
  }, {});
}

/** The first thing that is wrong, with the key's path and the source that set it. */
function describe(error: z.ZodError, layers: readonly [string, Settings][]): ConfigError {
  const issue = error.issues[0]!;
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const unknown = [...path, issue.keys[0]!];
    return new ConfigError(`${sourceOf(unknown, layers)}: ${unknown.join('.')}: unknown setting`);
  }
  const message = issue.message.replace(/^Invalid (input|option): /, '');
  return new ConfigError(`${sourceOf(path, layers)}: ${path.join('.') || '(all)'}: ${message}`);
}

function sourceOf(path: readonly string[], layers: readonly [string, Settings][]): string {
  const has = (settings: Settings) =>
    path.reduce<unknown>(
      (value, key) =>
        Array.isArray(value)
          ? value[Number(key)]
          : isSettings(value) && Object.hasOwn(value, key)
            ? value[key]
            : undefined,
      settings,
    ) !== undefined;
  return layers.findLast(([, settings]) => has(settings))?.[0] ?? layers[0]![0];
}
