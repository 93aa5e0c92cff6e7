import { unsupported } from '#errors/errors.ts';
import type { HistoryEntry } from '#oci/image-config.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import type { CopyInstruction, Instruction } from '../dockerfile/instructions.ts';
import type { CompileObserver } from '../frontend/compile/compile-observer.ts';
import type { Command, Stage } from '../frontend/compile/stage.ts';
import type { Draft } from '../frontend/graph/draft.ts';
import { encodeImage } from '../frontend/image/image.ts';
import { createdBy } from './classic-history.ts';

/** What an instruction makes of its stage. */
export interface RecordedStep {
  readonly instruction: Instruction;
  /** It comes from the base image. */
  readonly trigger: boolean;
  readonly createdBy: string;
  /** The image's configuration afterwards. */
  readonly config: Uint8Array;
  /** Of the image that the stage stands on. */
  readonly base: Uint8Array | undefined;
  /** The files as they are afterwards; undefined: it changes the configuration alone. */
  readonly files: Draft | undefined;
  /** `--chown`, expanded. */
  readonly owner?: string;
}

/** Writes down what each instruction of the stages that are needed comes to. */
export class StepRecorder implements CompileObserver {
  readonly planned: CompileObserver['planned'];
  readonly #steps = new Map<Stage, RecordedStep[]>();
  readonly #before = new Map<Stage, readonly HistoryEntry[]>();
  readonly #escapeToken: string;
  #files: Draft | undefined;
  #historyLength = 0;

  constructor(options: { escapeToken: string; planned: CompileObserver['planned'] }) {
    this.#escapeToken = options.escapeToken;
    this.planned = async (stages) => {
      await options.planned(stages);
      for (const { commands } of stages)
        for (const { instruction } of commands) refuseUnsupported(instruction);
    };
  }

  stepsOf(stage: Stage): readonly RecordedStep[] {
    return this.#steps.get(stage) ?? [];
  }

  /** What its base image brings along. */
  historyBefore(stage: Stage): readonly HistoryEntry[] {
    return this.#before.get(stage) ?? [];
  }

  /** Names of ARGs in all stages. */
  get declaredArgs(): string[] {
    const all = [...this.#steps.values()].flat();
    return all.flatMap(({ instruction }) =>
      instruction.name === 'ARG' ? instruction.args.map(({ name }) => name) : [],
    );
  }

  begun(stage: Stage): void {
    this.#steps.set(stage, []);
    if (!stage.base) this.#before.set(stage, [...stage.image.history]);
    this.#files = stage.files;
    this.#historyLength = stage.image.history.length;
  }

  compiled(stage: Stage, { instruction, onbuild }: Command): void {
    refuseUnsupported(instruction);
    const { history } = stage.image;
    const written = history.length > this.#historyLength ? history.at(-1)?.created_by : undefined;
    const { files } = stage;
    const owner = 'chown' in instruction ? /^\S+ (?:.* )?--chown=(\S+) /.exec(written ?? '')?.[1] : undefined;
    this.#steps.get(stage)!.push({
      instruction,
      trigger: onbuild,
      createdBy: createdBy(instruction, written, { stage, escapeToken: this.#escapeToken }),
      config: encodeImage({ ...stage.image, history: [] }),
      base: stage.baseConfig,
      files: files === this.#files ? undefined : files,
      ...(owner !== undefined && { owner }),
    });
    this.#files = files;
    this.#historyLength = history.length;
  }
}

function refuseNoDirectory({ name, sources, heredocs, destination }: CopyInstruction): void {
  if (sources.length + heredocs.length < 2 || /(?:^|\/)\.{0,2}$|\$/.test(destination)) return;
  throw new DockerfileError(
    `When using ${name} with more than one source file, the destination must be a directory and end with a /`,
  );
}

/** In Docker's words. `--network` is understood, as it always was. */
function refuseUnsupported(instruction: Instruction): void {
  if (instruction.name === 'COPY' || instruction.name === 'ADD') refuseNoDirectory(instruction);
  if (instruction.name !== 'RUN') return;
  const flag = instruction.flags.find(({ text }) => !text.startsWith('--network'));
  const name = flag && /^--([^=]*)/.exec(flag.text)?.[1];
  if (name) {
    throw unsupported(
      `the --${name} option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled`,
    );
  }
}
