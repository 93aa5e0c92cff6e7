import type { Platform } from '#oci/platform.ts';
import { DockerfileError } from '../../dockerfile/dockerfile-error.ts';
import { expand } from '../../dockerfile/expansion.ts';
import type { CopyInstruction, Instruction, RunInstruction } from '../../dockerfile/instructions.ts';
import { didYouMean } from '../../dockerfile/suggestion.ts';
import { type Command, Stage } from './stage.ts';

/** The stages of a Dockerfile by name and position; the images that its instructions read join them at the end. */
export class StageTable {
  readonly #stages: Stage[] = [];
  readonly #byName = new Map<string, Stage>();
  readonly #target: Platform;
  #last: Stage | undefined;

  constructor(target: Platform) {
    this.#target = target;
  }

  get all(): readonly Stage[] {
    return this.#stages;
  }

  get names(): string[] {
    return this.#stages.flatMap(({ label }) => (label ? [label] : []));
  }

  /** A stage builds on an earlier one that its FROM names. The last stage of a name is the one that is meant. */
  add(stage: Stage): void {
    this.#stages.push(stage);
    this.#last = stage;
    stage.base = this.#byName.get(stage.baseName);
    if (stage.name) this.#byName.set(stage.name, stage);
  }

  find(name: string): Stage | undefined {
    return this.#byName.get(name.toLowerCase());
  }

  /** '': the last of the file. Throws `DockerfileError`. */
  target(name: string): Stage {
    const stage = name === '' ? this.#last : this.find(name);
    if (stage) return stage;
    throw new DockerfileError(
      `target stage ${JSON.stringify(name)} could not be found${didYouMean(name, this.names)}`,
    );
  }

  /** Finds what an instruction reads from, and makes its stage depend on that. Throws `DockerfileError`. */
  link(stage: Stage, instruction: Instruction, { onbuild = false } = {}): Command {
    const sources = this.#sourcesOf(instruction);
    for (const source of sources) {
      if (source) stage.dependencies.set(source, instruction.range);
    }
    return { instruction, sources, onbuild };
  }

  #sourcesOf(instruction: Instruction): (Stage | undefined)[] {
    if (instruction.name === 'COPY') return this.#copySource(instruction);
    if (instruction.name === 'RUN') return this.#mountSources(instruction);
    return [];
  }

  #copySource({ from, range }: CopyInstruction): Stage[] {
    if (!from) return [];
    if (expand(from, () => undefined, { escapeToken: '\\' }) !== from) {
      throw new DockerfileError(
        'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
        range,
      );
    }
    if (!/^[+-]?\d{1,9}$/.test(from)) return [this.find(from) ?? this.#image(from, range)];
    const stage = this.#stages[Number(from)];
    if (!stage) throw new DockerfileError(`invalid stage index ${Number(from)}`, range);
    return [stage];
  }

  #mountSources({ mounts, range }: RunInstruction): (Stage | undefined)[] {
    return mounts.map(({ from }) =>
      from === undefined ? undefined : (this.find(from) ?? this.#image(from, range)),
    );
  }

  #image(name: string, range: CopyInstruction['range']): Stage {
    const stage = new Stage({ baseName: name, range, target: this.#target });
    this.#stages.push(stage);
    return stage;
  }
}

/** Throws `DockerfileError` when stages read from each other in a circle. */
export function refuseCircles(stages: readonly Stage[]): void {
  const done = new Set<Stage>();
  for (const start of stages) {
    const path: { stage: Stage; pending: [Stage, CopyInstruction['range']][] }[] = [];
    const onPath = new Set<Stage>();
    const enter = (stage: Stage) => {
      done.add(stage);
      onPath.add(stage);
      path.push({ stage, pending: [...stage.dependencies] });
    };
    if (!done.has(start)) enter(start);
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const next = top.pending.pop();
      if (!next) {
        onPath.delete(top.stage);
        path.pop();
        continue;
      }
      const [dependency, range] = next;
      if (onPath.has(dependency)) {
        throw new DockerfileError(`circular dependency detected on stage: ${start.label}`, [range]);
      }
      if (!done.has(dependency)) enter(dependency);
    }
  }
}
