import type { z } from 'zod';
import { ConfigError } from './config-error.ts';
import { at, leaves, overlay, type Settings } from './settings.ts';
import { parseValue } from './value.ts';

/** Read elsewhere, or by others who start Slipway. */
const notSettings = new Set(['SLIPWAY_CONFIG', 'SLIPWAY_HOST']);

/** The settings that the environment gives: `SLIPWAY_REGISTRY_LISTEN` for `registry.listen`. */
export function settingsFromEnvironment(schema: z.ZodType, environment: NodeJS.ProcessEnv): Settings {
  const known = new Map([...leaves(schema)].map(([path, leaf]) => [variableName(path), { path, leaf }]));
  let settings: Settings = {};
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith('SLIPWAY_') || notSettings.has(name) || text === undefined) continue;
    const setting = known.get(name);
    if (!setting) throw new ConfigError(`environment: ${name}: unknown setting`);
    settings = overlay(settings, at(setting.path, parseValue(text, setting.leaf)));
  }
  return settings;
}

/** `worker.network.defaultBridge.name` → `SLIPWAY_WORKER_NETWORK_DEFAULT_BRIDGE_NAME` */
export function variableName(path: string): string {
  return `SLIPWAY_${path.replace(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()}`;
}
