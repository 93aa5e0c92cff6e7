import type { HistoryEntry } from '#oci/image-config.ts';
import { hostPlatform, type Platform, parsePlatform } from '#oci/platform.ts';
import type { BaseImages } from './base-images.ts';
import type { BuildRequest } from './build-request.ts';
import type { ClassicOutput } from './classic-output.ts';
import { BuildArgs } from './compile/build-args.ts';
import { compileCopy } from './compile/compile-copy.ts';
import { compileRun } from './compile/compile-run.ts';
import { configure, nop } from './compile/configure.ts';
import { findStage, stagesFor } from './compile/stage-order.ts';
import { type StageState, shellOf, stageFrom, variablesOf } from './compile/stage-state.ts';
import { DockerfileError } from './dockerfile/dockerfile-error.ts';
import { expand } from './dockerfile/expansion.ts';
import type { ArgInstruction, CopyInstruction, Instruction, Stage } from './dockerfile/instructions.ts';
import { type Dockerfile, parseFragment } from './dockerfile/parser.ts';
import { unwritten } from './dockerfile/written.ts';
import { imageIdOf } from './export/image-config-of.ts';
import { layersOf } from './graph/result.ts';
import type { Solution, Solver } from './graph/solver.ts';
import { type Vertex, vertex } from './graph/vertex.ts';

/** An instruction turned into a vertex, and what else it makes of its stage. */
interface Step {
  readonly vertex: Vertex;
  readonly createdBy: string;
  /** The state after it, but for files, history and date. */
  readonly state: StageState;
}

export interface ClassicBuildPorts {
  readonly images: BaseImages;
  readonly solver: Solver;
}

/**
 * Builds a Dockerfile as the classic builder shows it: stage by stage, instruction by instruction, each compiled
 * to a vertex and solved before the next is printed. Stages that the target does not need never appear.
 */
export class ClassicBuild {
  readonly #ports: ClassicBuildPorts;
  readonly #file: Dockerfile;
  readonly #request: BuildRequest;
  readonly #args: BuildArgs;
  readonly #context = vertex({ kind: 'source', source: { type: 'context' } });
  readonly #states = new Map<number, StageState>();
  #output!: ClassicOutput;

  constructor(ports: ClassicBuildPorts, file: Dockerfile, request: BuildRequest) {
    this.#ports = ports;
    this.#file = file;
    this.#request = request;
    this.#args = new BuildArgs(request.buildArgs, request.platform ?? hostPlatform());
  }

  get args(): BuildArgs {
    return this.#args;
  }

  /** Answers the target's final state. */
  async run(openOutput: (total: number) => ClassicOutput): Promise<StageState> {
    const { stages, globalArgs, emptyContinuations } = this.#file;
    refuseRepeatedNames(stages);
    for (const instruction of globalArgs) this.#declareGlobals(instruction);
    const order = stagesFor(stages, this.#request.target, (stage) => this.#imageOf(stage));
    const target = order.at(-1)!;
    const labels = labelInstructions(this.#request.labels);
    const instructions = order.map((at) => stages[at]!.instructions.length + 1);
    const total = instructions.reduce((sum, count) => sum + count, globalArgs.length + labels.length);
    this.#output = openOutput(total);
    await this.#output.warnings(emptyContinuationWarnings(emptyContinuations));
    for (const instruction of globalArgs) await this.#output.step(instruction.text);
    for (const at of order) {
      const stage = stages[at]!;
      const all = at === target ? [...stage.instructions, ...labels] : stage.instructions;
      this.#states.set(at, await this.#stage(at, stage, all));
    }
    await this.#output.unusedArgs(this.#args.unused);
    return this.#states.get(target)!;
  }

  async #stage(at: number, stage: Stage, instructions: readonly Instruction[]): Promise<StageState> {
    await this.#output.step(stage.from.text);
    let state = await this.#begin(at, stage);
    await this.#output.image(imageIdOf(state));
    for (const instruction of instructions) {
      await this.#output.step(instruction.text);
      state = await this.#execute(at, instruction, state);
      await this.#output.image(imageIdOf(state));
    }
    return state;
  }

  async #begin(at: number, stage: Stage): Promise<StageState> {
    const name = this.#imageOf(stage);
    if (name.trim() === '') {
      throw new DockerfileError(`base name (${stage.from.image}) should not be blank`, stage.from.range);
    }
    const earlier = /^\d+$/.test(name) ? undefined : findStage(this.#file.stages.slice(0, at), name);
    if (earlier !== undefined) return { ...this.#states.get(earlier)!, args: new Map(), cmdSet: false };
    if (name === 'scratch')
      return stageFrom(vertex({ kind: 'source', source: { type: 'scratch' } }), undefined);
    const image = await this.#ports.images.resolve(name, this.#platformOf(stage));
    const source = vertex({
      kind: 'source',
      source: { type: 'image', id: image.id, diffIds: image.config.rootfs.diff_ids },
    });
    return this.#trigger(at, stageFrom(source, image));
  }

  /** Runs what the base image left for those who build on it. */
  async #trigger(at: number, base: StageState): Promise<StageState> {
    const triggers = base.config.OnBuild ?? [];
    if (triggers.length === 0) return base;
    await this.#output.triggers(triggers.length);
    let state: StageState = { ...base, config: { ...base.config, OnBuild: null } };
    for (const instruction of triggers.flatMap((trigger) => parseFragment(trigger))) {
      state = await this.#execute(at, instruction, state);
    }
    return state;
  }

  async #execute(at: number, instruction: Instruction, state: StageState): Promise<StageState> {
    const step = await this.#compile(at, instruction, state);
    const solution = await this.#ports.solver.solve(step.vertex, instruction.text, this.#output.observer());
    return advance(step, solution);
  }

  async #compile(at: number, instruction: Instruction, state: StageState): Promise<Step> {
    const { escape: escapeToken } = this.#file.directives;
    switch (instruction.name) {
      case 'RUN': {
        const { op, createdBy } = compileRun(instruction, state, {
          network: this.#request.network,
        });
        return { vertex: vertex(op, [state.files]), createdBy, state };
      }
      case 'COPY':
      case 'ADD': {
        const source = await this.#copySource(at, instruction);
        return { ...compileCopy(instruction, state, { escapeToken, ...source }), state };
      }
      case 'ARG':
        return this.#compileArg(instruction, state);
      default: {
        const variables = variablesOf(state);
        const context = { variables, escapeToken, shell: shellOf(state), cmdSet: state.cmdSet };
        const { config, author, createdBy, cmdSet } = configure(state.config, instruction, context);
        const after = { ...state, config, author: author ?? state.author, cmdSet: cmdSet ?? state.cmdSet };
        const path = instruction.name === 'WORKDIR' ? config.WorkingDir! : '/';
        return {
          vertex: path === '/' ? configVertex(state, createdBy) : directoryVertex(state, path),
          createdBy,
          state: after,
        };
      }
    }
  }

  #compileArg(instruction: ArgInstruction, state: StageState): Step {
    const args = new Map(state.args);
    const variables = variablesOf(state);
    const shown = instruction.args.map(({ name, value: written }) => {
      const fallback =
        written === undefined
          ? undefined
          : expand(written, variables, { escapeToken: this.#file.directives.escape });
      const value = this.#args.declared(name, fallback);
      if (value === undefined) args.delete(name);
      else args.set(name, value);
      return fallback === undefined ? name : `${name}=${fallback}`;
    });
    const createdBy = nop(` ARG ${shown.join(' ')}`);
    return { vertex: configVertex(state, createdBy), createdBy, state: { ...state, args } };
  }

  /** Where a COPY's files come from: the context, an earlier stage, or an image. */
  async #copySource(
    at: number,
    { from, range }: CopyInstruction,
  ): Promise<{ source: Vertex; fromImage: boolean }> {
    if (from === undefined) return { source: this.#context, fromImage: false };
    const stage = findStage(this.#file.stages.slice(0, at), from);
    if (stage !== undefined) return { source: this.#states.get(stage)!.files, fromImage: true };
    if (/^\d+$/.test(from)) {
      throw new DockerfileError(
        `invalid from flag value ${from}: refers to a stage that does not exist before`,
        range,
      );
    }
    const image = await this.#ports.images.resolve(from, this.#request.platform);
    const { id, config } = image;
    const source = vertex({ kind: 'source', source: { type: 'image', id, diffIds: config.rootfs.diff_ids } });
    return { source, fromImage: true };
  }

  #declareGlobals(instruction: ArgInstruction): void {
    for (const { name, value } of instruction.args) {
      const expanded = value === undefined ? undefined : this.#expandGlobal(value);
      this.#args.declareGlobal(name, expanded);
    }
  }

  #imageOf({ from }: Stage): string {
    return this.#expandGlobal(from.image);
  }

  #platformOf({ from }: Stage): Platform | undefined {
    if (from.platform === undefined) return this.#request.platform;
    const platform = this.#expandGlobal(from.platform);
    return platform === '' ? this.#request.platform : parsePlatform(platform);
  }

  #expandGlobal(word: string): string {
    return expand(word, (name) => this.#args.global(name), { escapeToken: this.#file.directives.escape });
  }
}

function configVertex(state: StageState, createdBy: string): Vertex {
  return vertex({ kind: 'config', createdBy }, [state.last]);
}

function directoryVertex(state: StageState, path: string): Vertex {
  const user = state.config.User ?? '';
  return vertex({ kind: 'file', action: { type: 'make-directory', path, user } }, [state.files]);
}

/** The state after a step is solved. */
function advance({ vertex: solved, createdBy, state }: Step, { result, createdAt }: Solution): StageState {
  const { diffIds } = layersOf(result);
  const created = createdAt.toISOString();
  const entry: HistoryEntry = {
    created,
    created_by: createdBy,
    ...(state.author !== undefined && { author: state.author }),
    ...(diffIds.length === state.diffIds.length && { empty_layer: true }),
  };
  return {
    ...state,
    files: solved.op.kind === 'config' ? state.files : solved,
    last: solved,
    image: undefined,
    diffIds,
    createdAt: created,
    history: [...state.history, entry],
  };
}

/** `docker build --label` as instructions at the end. */
function labelInstructions(labels: Readonly<Record<string, string>>): Instruction[] {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({
      name: 'LABEL',
      pairs: [[name, value]],
      legacy: false,
      literal: true,
      ...unwritten('LABEL', `LABEL ${name}=${value}`),
    }));
}

/** BuildKit takes the last of a name; the classic builder has always refused them. */
function refuseRepeatedNames(stages: readonly Stage[]): void {
  const seen = new Set<string>();
  for (const { from } of stages) {
    if (from.stage === undefined) continue;
    if (seen.has(from.stage)) throw new DockerfileError(`${from.stage} stage name already used`, from.range);
    seen.add(from.stage);
  }
}

function emptyContinuationWarnings(found: Dockerfile['emptyContinuations']): string[] {
  if (found.length === 0) return [];
  return [
    ...found.map(({ text }) => `[WARNING]: Empty continuation line found in: ${text}`),
    '[WARNING]: Empty continuation lines will become errors in a future release.',
  ];
}
