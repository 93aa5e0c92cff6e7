import type { Digest } from '#oci/digest.ts';
import type { HistoryEntry, RunConfig } from '#oci/image-config.ts';
import { hostPlatform, type Platform } from '#oci/platform.ts';
import type { Image } from '#worker/images/image-source.ts';
import type { Variables } from '../dockerfile/expansion.ts';
import type { Vertex } from '../graph/vertex.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const DEFAULT_SHELL = ['/bin/sh', '-c'];

/** What a stage has come to after one of its instructions. Immutable. */
export interface StageState {
  /** The root file system. */
  readonly files: Vertex;
  /** The last instruction, which the next one's date hangs on. */
  readonly last: Vertex;
  /** The image that it is, while nothing was done to it. */
  readonly image: Digest | undefined;
  readonly config: RunConfig;
  readonly platform: Platform;
  readonly author: string | undefined;
  readonly history: readonly HistoryEntry[];
  readonly diffIds: readonly Digest[];
  readonly createdAt: string | undefined;
  /** ARGs in scope, by name. */
  readonly args: ReadonlyMap<string, string>;
  /** CMD was set in this stage, so that ENTRYPOINT leaves it. */
  readonly cmdSet: boolean;
}

/** The beginning of a stage on an image, or on nothing. */
export function stageFrom(files: Vertex, base: Pick<Image, 'id' | 'config'> | undefined): StageState {
  const image = base?.config;
  const config = image?.config ?? {};
  const env = config.Env ?? [];
  const { architecture, os, variant } = image ?? hostPlatform();
  return {
    files,
    last: files,
    image: base?.id,
    config: env.some((entry) => entry.startsWith('PATH='))
      ? config
      : { ...config, Env: [...env, `PATH=${DEFAULT_PATH}`] },
    platform: { os, architecture, ...(variant && { variant }) },
    author: image?.author,
    history: image?.history ?? [],
    diffIds: image?.rootfs.diff_ids ?? [],
    createdAt: image?.created,
    args: new Map(),
    cmdSet: false,
  };
}

/** The variables of an instruction: ENV first, then ARG. */
export function variablesOf(state: StageState): Variables {
  return (name) => envValue(state.config.Env, name) ?? state.args.get(name);
}

export function shellOf(state: StageState): readonly string[] {
  return state.config.Shell?.length ? state.config.Shell : DEFAULT_SHELL;
}

export function envValue(env: readonly string[] | undefined, name: string): string | undefined {
  return env?.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Sets variables in place, or at the end. */
export function withEnv(env: readonly string[], pairs: readonly (readonly [string, string])[]): string[] {
  const result = [...env];
  for (const [name, value] of pairs) {
    const at = result.findIndex((entry) => entry.startsWith(`${name}=`));
    if (at < 0) result.push(`${name}=${value}`);
    else result[at] = `${name}=${value}`;
  }
  return result;
}
