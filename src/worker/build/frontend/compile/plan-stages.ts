import { SlipwayError } from '#errors/errors.ts';
import type { Platform } from '#oci/platform.ts';
import { DockerfileError, locate } from '../../dockerfile/dockerfile-error.ts';
import { type Expansion, expandTracked } from '../../dockerfile/expansion.ts';
import type { Stage as WrittenStage } from '../../dockerfile/instructions.ts';
import { checkFromPlatform, checkFromVariables } from '../../dockerfile/lint/from-checks.ts';
import { didYouMean } from '../../dockerfile/suggestion.ts';
import type { NamedContexts } from '../inputs/named-contexts.ts';
import { ignoresCache } from '../options/build-options.ts';
import { readPlatform } from '../platforms.ts';
import type { Compilation } from './compilation.ts';
import type { ArgUse } from './outline-capture.ts';
import { Stage } from './stage.ts';
import { StageTable } from './stage-table.ts';

const STEPS: readonly string[] = ['RUN', 'COPY', 'ADD', 'WORKDIR'];

/** Makes stages of what is written, with the variables of their FROM lines expanded. Throws `DockerfileError`. */
export function planStages(
  compilation: Compilation,
  written: readonly WrittenStage[],
  { contexts, globals }: { contexts: NamedContexts; globals: ReadonlyMap<string, ArgUse> },
): StageTable {
  const table = new StageTable(compilation.targetPlatform);
  for (const [at, { from, instructions }] of written.entries()) {
    const { stage, used } = locate(from.range, () => planStage(compilation, from, at, globals));
    table.add(stage);
    stage.namedContext = stage.name
      ? located(from.range, () => contexts.find(stage.name, stage.platform ?? compilation.targetPlatform))
      : undefined;
    if (stage.namedContext) {
      stage.base = undefined;
      continue;
    }
    for (const [name, use] of stage.base?.outline.args ?? globals) stage.outline.args.set(name, use);
    for (const name of used) stage.outline.used.add(name);
    const steps = instructions.filter(({ name }) => STEPS.includes(name)).length;
    stage.stepCount = steps + (stage.baseName !== 'scratch' && !stage.base ? 1 : 0);
    stage.ignoreCache = ignoresCache(compilation.options, stage.name);
  }
  // Links come when all names are known: an instruction may name a later stage, if only to be told that it cannot.
  for (const [at, stage] of table.all.slice(0, written.length).entries()) {
    stage.commands = written[at]!.instructions.map((instruction) => table.link(stage, instruction));
  }
  return table;
}

function planStage(
  compilation: Compilation,
  from: WrittenStage['from'],
  at: number,
  globals: ReadonlyMap<string, ArgUse>,
): { stage: Stage; used: ReadonlySet<string> } {
  const { globalArgs, escapeToken, linter } = compilation;
  const expandGlobal = (word: string) => expandTracked(word, (name) => globalArgs.get(name), { escapeToken });
  const known = [...globals.keys(), ...globalArgs.names];
  const image = expandGlobal(from.image);
  checkFromVariables(from, image, known, linter);
  if (image.result === '') throw new DockerfileError(`base name (${from.image}) should not be blank`);
  const platform = from.platform === undefined ? undefined : expandGlobal(from.platform);
  if (platform) {
    checkFromVariables(from, platform, known, linter);
    checkFromPlatform(from, platform, globalArgs.get('TARGETPLATFORM'), linter);
  }
  const chosen = platform && platformOf(from.platform!, platform, globalArgs.names);
  const stage = new Stage({
    name: from.stage ?? '',
    label: from.stage ?? `stage-${at}`,
    baseName: image.result,
    from,
    range: from.range,
    ...(chosen && { platform: chosen }),
    target: compilation.targetPlatform,
  });
  return { stage, used: new Set([...image.matched, ...(platform?.matched ?? [])]) };
}

function platformOf(written: string, { result, unmatched }: Expansion, names: readonly string[]): Platform {
  const suggestion = [...unmatched].map((name) => didYouMean(name, names)).find(Boolean) ?? '';
  if (result === '')
    throw new DockerfileError(`empty platform value from expression ${written}${suggestion}`);
  try {
    return readPlatform(result);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    throw new DockerfileError(`failed to parse platform ${written}: ${why}${suggestion}`);
  }
}

function located<T>(range: WrittenStage['from']['range'], task: () => T): T {
  try {
    return task();
  } catch (error) {
    if (error instanceof SlipwayError && error.kind === 'invalid')
      throw new DockerfileError(error.message, range);
    throw error;
  }
}
