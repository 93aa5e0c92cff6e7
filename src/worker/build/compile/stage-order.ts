import { invalid } from '#errors/errors.ts';
import type { Instruction, Stage } from '../dockerfile/instructions.ts';

/** The stage that `COPY --from`, `FROM` or `--target` mean: by name, else by position. */
export function findStage(stages: readonly Stage[], name: string): number | undefined {
  const byName = stages.findIndex((stage) => stage.from.stage === name.toLowerCase());
  if (byName >= 0) return byName;
  const position = /^\d{1,6}$/.test(name) ? Number(name) : -1;
  return position >= 0 && position < stages.length ? position : undefined;
}

/**
 * The stages that a target needs, in the order of the file; the last is the target. `fromOf` gives a FROM line's
 * image with its variables expanded. Throws `invalid` for an unknown target.
 */
export function stagesFor(
  stages: readonly Stage[],
  target: string | undefined,
  fromOf: (stage: Stage) => string,
): number[] {
  const last = target ? findStage(stages, target) : stages.length - 1;
  if (last === undefined) throw invalid(`target stage ${JSON.stringify(target)} could not be found`);
  const needed = new Set<number>();
  const pending = [last];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    if (needed.has(at)) continue;
    needed.add(at);
    const stage = stages[at]!;
    const earlier = stages.slice(0, at);
    const names = [fromOf(stage), ...stage.instructions.flatMap(sourcesOf)];
    for (const [position, name] of names.entries()) {
      // A number is a stage only for COPY: `FROM 0` is an image.
      const isNumber = /^\d+$/.test(name);
      const found = position === 0 && isNumber ? undefined : findStage(earlier, name);
      if (found !== undefined) pending.push(found);
    }
  }
  return [...needed].sort((a, b) => a - b);
}

/** The other stages that an instruction may read from. */
function sourcesOf(instruction: Instruction): string[] {
  if (instruction.name === 'COPY' && instruction.from !== undefined) return [instruction.from];
  if (instruction.name !== 'RUN') return [];
  return instruction.mounts.flatMap((mount) => mount.from ?? []);
}
