import { formatPlatform, type Platform } from '#oci/platform.ts';
import { locate } from '../../dockerfile/dockerfile-error.ts';
import { expandTracked } from '../../dockerfile/expansion.ts';
import type { ArgInstruction } from '../../dockerfile/instructions.ts';
import { Environment } from '../graph/environment.ts';
import { platformId } from '../platforms.ts';
import type { ArgUse } from './outline-capture.ts';

/** ARGs that exist without being declared: what runs the build, what it is for, and the stage that was asked for. */
export function builderArgs(
  build: Platform,
  target: Platform,
  stage: string,
  given: ReadonlyMap<string, string>,
): Environment {
  const environment = new Environment();
  const values: [string, string][] = [
    ['BUILDPLATFORM', formatPlatform(build)],
    ...partsOf('BUILD', build),
    ['TARGETPLATFORM', platformId(target)],
    ...partsOf('TARGET', target),
    ['TARGETSTAGE', stage || 'default'],
  ];
  for (const [name, value] of values) environment.set(name, given.get(name) ?? value);
  return environment;
}

/** ARGs before the first FROM, on top of `base`. Throws `DockerfileError`. */
export function globalArgs(
  base: Environment,
  instructions: readonly ArgInstruction[],
  given: ReadonlyMap<string, string>,
  escapeToken: string,
): { environment: Environment; uses: Map<string, ArgUse> } {
  const environment = new Environment(base);
  const uses = new Map<string, ArgUse>();
  for (const { args, range } of instructions) {
    for (const arg of args) {
      const { value, dependencies } = locate(range, () => chooseValue(arg, environment, given, escapeToken));
      if (value !== undefined) environment.set(arg.name, value);
      // A default that refers to an earlier ARG of its name is made of what that was made of.
      if (dependencies.delete(arg.name)) {
        for (const name of uses.get(arg.name)?.dependencies ?? []) dependencies.add(name);
      }
      uses.set(arg.name, { arg, value: value ?? '', dependencies, range });
    }
  }
  return { environment, uses };
}

function chooseValue(
  { name, value }: ArgInstruction['args'][number],
  environment: Environment,
  given: ReadonlyMap<string, string>,
  escapeToken: string,
): { value: string | undefined; dependencies: Set<string> } {
  const chosen = given.get(name);
  if (chosen !== undefined || value === undefined) return { value: chosen, dependencies: new Set() };
  const { result, matched } = expandTracked(value, (word) => environment.get(word), { escapeToken });
  return { value: result, dependencies: new Set(matched) };
}

function partsOf(prefix: string, platform: Platform): [string, string][] {
  return [
    [`${prefix}OS`, platform.os],
    [`${prefix}OSVERSION`, platform['os.version'] ?? ''],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ];
}
