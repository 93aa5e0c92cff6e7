import { type Digest, digestOf } from '#oci/digest.ts';
import type { HistoryEntry } from '#oci/image-config.ts';
import type { Instruction } from '../dockerfile/instructions.ts';
import type { Stage } from '../frontend/compile/stage.ts';
import type { Bridge } from '../frontend/frontend.ts';
import type { Draft } from '../frontend/graph/draft.ts';
import type { Ref, RefLayer } from '../solve/ref.ts';
import { refuseUnknownOwner } from './chown-names.ts';
import { classicFailure } from './classic-failure.ts';
import type { ClassicRequest } from './classic-request.ts';
import type { ConfigMarks } from './config-marks.ts';
import type { StepFeed } from './step-feed.ts';
import type { StepImages } from './step-images.ts';
import type { StepPrinter } from './step-printer.ts';
import type { RecordedStep } from './step-recorder.ts';

/** What a step that changed no file has as a layer; classic images go without. */
const NOTHING = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

/** What a stage has come to after one of its steps. */
export interface Outcome {
  /** Of the image that it is; undefined while there is nothing. */
  readonly id: string | undefined;
  /** Nothing was done to the image that it stands on. */
  readonly untouched: boolean;
  /** Bottom first. */
  readonly layers: readonly RefLayer[];
  /** How many layers its files have, with those that hold nothing. */
  readonly depth: number;
  readonly history: readonly HistoryEntry[];
}

/** A stage on what its FROM names. */
export function outcomeOf({ image, baseConfig }: Stage, history: readonly HistoryEntry[]): Outcome {
  const layers = image.diffIds.map((diffId) => ({ diffId: diffId as Digest }));
  const id = baseConfig && digestOf(baseConfig);
  return { id, untouched: true, layers, depth: layers.length, history };
}

export interface StepShowParts {
  readonly bridge: Bridge;
  readonly feed: StepFeed;
  readonly printer: StepPrinter;
  readonly marks: ConfigMarks;
  readonly images: StepImages;
  readonly request: Pick<ClassicRequest, 'noCache' | 'tellRemoved'>;
}

/** Shows what is done for one step after the other, and adds up what comes of it. */
export class StepShow {
  readonly #parts: StepShowParts;
  readonly #shown = new Set<string>();

  constructor(parts: StepShowParts) {
    this.#parts = parts;
  }

  /** Resolves when the step is done. `last`: of what is built, whose image has to be whole. Throws as of `classicFailure`. */
  async show(before: Outcome, step: RecordedStep, { last }: { last: boolean }): Promise<Outcome> {
    const { createdBy } = step;
    if (!step.files) return this.#configuration(before, step, last);
    const ref = await this.#files(step.instruction, step.files);
    const { bridge } = this.#parts;
    const { owner, instruction } = step;
    if (owner) await refuseUnknownOwner(owner, { ref, bridge, instruction: instruction.name });
    const all = ref.kind === 'layers' ? ref.layers : [];
    const added = all.slice(before.depth).filter(({ diffId }) => diffId !== NOTHING);
    const entries = added.length > 0 ? added.map(() => ({})) : [{ empty_layer: true }];
    const history = [...before.history, ...entries.map((entry) => ({ created_by: createdBy, ...entry }))];
    const layers = [...before.layers, ...added];
    const id = await this.#image(before, step, { history, layers, last });
    return { id, untouched: false, layers, depth: all.length, history };
  }

  async #configuration(before: Outcome, step: RecordedStep, last: boolean): Promise<Outcome> {
    const { marks, printer, request } = this.#parts;
    const history = [...before.history, { created_by: step.createdBy, empty_layer: true }];
    const id = await this.#image(before, step, { history, layers: before.layers, last });
    if ((await marks.known(id)) && !request.noCache) await printer.cached();
    return { ...before, id, untouched: false, history };
  }

  #image(
    { id: parent }: Outcome,
    { config, base }: RecordedStep,
    { last, ...after }: Pick<Outcome, 'history' | 'layers'> & { last: boolean },
  ): Promise<Digest> {
    return this.#parts.images.make({ config, base, parent, ...after }, { whole: last });
  }

  async #files(instruction: Instruction, { edge }: Draft): Promise<Ref> {
    const { bridge, feed, printer, request } = this.#parts;
    const { digest } = edge.vertex;
    const solved = bridge.solve(edge);
    // Looked at below.
    solved.catch(() => undefined);
    try {
      if (this.#shown.has(digest)) {
        await printer.cached();
        return await solved;
      }
      this.#shown.add(digest);
      if (instruction.name === 'RUN') {
        await Promise.race([solved, feed.begun(digest)]);
        if (feed.runs(digest)) await this.#command(digest, solved);
      }
      const ref = await solved;
      if (feed.wasCached(digest) && !request.noCache) await printer.cached();
      return ref;
    } catch (error) {
      throw classicFailure(error, instruction);
    }
  }

  async #command(digest: string, solved: Promise<Ref>): Promise<void> {
    const { feed, printer, request } = this.#parts;
    const command = await printer.command();
    for await (const { stream, data } of feed.output(digest)) await command.write(stream, data);
    const failed = await solved.then(
      () => false,
      () => true,
    );
    await command.ended({ tell: failed ? request.tellRemoved.failed : request.tellRemoved.succeeded });
  }
}
