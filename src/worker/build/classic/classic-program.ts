import { invalid } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import { hostPlatform } from '#oci/platform.ts';
import type { ImageStore } from '#worker/images/image-store.ts';
import type { BuildProgram } from '../build-service.ts';
import type { LocalCache } from '../cache/local-cache.ts';
import type { Dockerfile } from '../dockerfile/parser.ts';
import type { LocalLayers } from '../export/layer-export.ts';
import { type CompiledDockerfile, compileDockerfile } from '../frontend/compile/compile-dockerfile.ts';
import type { Stage } from '../frontend/compile/stage.ts';
import type { Bridge, FrontendRequest, FrontendResult } from '../frontend/frontend.ts';
import { MainContext } from '../frontend/inputs/main-context.ts';
import { NamedContexts } from '../frontend/inputs/named-contexts.ts';
import { silentLinter } from '../frontend/lint-warnings.ts';
import { type BuildOptions, readBuildOptions } from '../frontend/options/build-options.ts';
import { resultOf } from '../frontend/result.ts';
import { continuationWarnings, openDockerfile } from './classic-dockerfile.ts';
import { type BasePuller, ClassicImages } from './classic-images.ts';
import type { ClassicOutput, ClassicRequest } from './classic-request.ts';
import { ConfigMarks } from './config-marks.ts';
import { StepFeed } from './step-feed.ts';
import { StepImages, type StepImagesPorts } from './step-images.ts';
import { StepPrinter } from './step-printer.ts';
import { type RecordedStep, StepRecorder } from './step-recorder.ts';
import { type Outcome, outcomeOf, StepShow } from './step-show.ts';

export interface ClassicProgramPorts {
  readonly store: Pick<ImageStore, 'lookUp' | 'get' | 'create' | 'tag'>;
  readonly steps: StepImagesPorts['steps'];
  readonly puller: BasePuller;
  readonly layers: Pick<LocalLayers, 'require'>;
  /** This machine's. */
  readonly cache: Pick<LocalCache, 'find' | 'save'>;
}

/** Proxy settings, which every RUN gets: nobody has to ask for them. */
const PREDEFINED = /^(?:http|https|ftp|no|all)_proxy$/i;

/**
 * The classic builder: one graph, solved as any other, and shown as if one instruction were done after the other. It
 * makes the image itself, and tags it.
 */
export class ClassicProgram implements BuildProgram {
  readonly progress = new StepFeed();
  readonly #ports: ClassicProgramPorts;
  readonly #request: ClassicRequest;
  readonly #output: ClassicOutput;
  #printer: StepPrinter | undefined;
  #image: Digest | undefined;

  constructor(ports: ClassicProgramPorts, request: ClassicRequest, output: ClassicOutput) {
    this.#ports = ports;
    this.#request = request;
    this.#output = output;
  }

  /** What it has made. */
  get image(): Digest | undefined {
    return this.#image;
  }

  async solve(frontendRequest: FrontendRequest, bridge: Bridge): Promise<FrontendResult> {
    const options = this.#options(frontendRequest);
    const context = await MainContext.open(frontendRequest, bridge);
    const { source, dockerfile } = await openDockerfile(context, this.#request);
    const images = new ClassicImages(this.#ports, {
      request: this.#request,
      bridge,
      output: this.#output,
    });
    const needed: Stage[] = [];
    const recorder = new StepRecorder({
      escapeToken: dockerfile.directives.escape,
      planned: async (stages) => {
        needed.push(...stages);
        await this.#begin(dockerfile, stages);
      },
    });
    const buildPlatform = hostPlatform();
    const compiled = await compileDockerfile({
      dockerfile,
      source,
      options,
      context,
      contexts: new NamedContexts({ request: frontendRequest, bridge, images, mode: 'default' }),
      images,
      linter: silentLinter(),
      buildPlatform,
      targetPlatform: this.#request.platform,
      bridge,
      observer: recorder,
    });
    // All at once; it is shown in order below.
    if (compiled.edge) bridge.solve(compiled.edge).catch(() => undefined);
    await this.#show(needed, { recorder, compiled, bridge, dockerfile });
    return resultOf([{ platform: this.#request.platform ?? buildPlatform, compiled }], options);
  }

  #options(request: FrontendRequest): BuildOptions {
    const { network, extraHosts } = this.#request;
    const steps = { network, extraHosts, ulimits: [], makesVolumes: true };
    const options = readBuildOptions(request.options);
    // Labels are instructions here; what has to be pulled is, before it is built on.
    return { ...options, labels: new Map(), resolveMode: 'default', steps };
  }

  /** What is shown before anything is pulled. */
  async #begin({ globalArgs, emptyContinuations }: Dockerfile, stages: readonly Stage[]): Promise<void> {
    const count = stages.reduce((sum, { commands }) => sum + 1 + commands.length, globalArgs.length);
    const printer = new StepPrinter(this.#output, count);
    this.#printer = printer;
    await printer.warnings(continuationWarnings(emptyContinuations));
    for (const { text } of globalArgs) await printer.step(text);
    await printer.step(stages[0]!.from!.text);
  }

  async #show(
    stages: readonly Stage[],
    build: { recorder: StepRecorder; compiled: CompiledDockerfile; bridge: Bridge; dockerfile: Dockerfile },
  ): Promise<void> {
    const { recorder, compiled, bridge } = build;
    const printer = this.#printer!;
    const marks = new ConfigMarks(this.#ports);
    const images = new StepImages(this.#ports, { epoch: compiled.epoch, signal: bridge.signal });
    const parts = { bridge, feed: this.progress, printer, marks, images, request: this.#request };
    const show = new StepShow(parts);
    const outcomes = new Map<Stage, Outcome>();
    const whole = wholeStages(compiled.target, recorder);
    try {
      for (const [at, stage] of stages.entries()) {
        if (at > 0) await printer.step(stage.from!.text);
        const isWhole = whole.has(stage);
        outcomes.set(stage, await this.#stage(stage, { show, outcomes, recorder, isWhole }));
      }
    } finally {
      await marks.keep();
    }
    await printer.unusedArgs(this.#unusedArgs(build.dockerfile, recorder));
    await this.#tag(outcomes.get(compiled.target)!.id as Digest, bridge.signal);
  }

  async #stage(
    stage: Stage,
    build: {
      show: StepShow;
      outcomes: ReadonlyMap<Stage, Outcome>;
      recorder: StepRecorder;
      /** What it comes to has to be an image. */
      isWhole: boolean;
    },
  ): Promise<Outcome> {
    const { show, outcomes, recorder, isWhole } = build;
    const printer = this.#printer!;
    const steps = recorder.stepsOf(stage);
    const base = stage.base && outcomes.get(stage.base);
    let outcome = base ?? outcomeOf(stage, recorder.historyBefore(stage));
    const triggers = steps.filter(({ trigger }) => trigger);
    if (triggers.length > 0) await printer.triggers(triggers.length);
    const next = (step: RecordedStep) => show.show(outcome, step, { last: isWhole && step === steps.at(-1) });
    for (const trigger of triggers) outcome = await next(trigger);
    // A Dockerfile that does nothing to an image is that image.
    if (steps.length === 0 && isWhole && outcome.id === undefined)
      throw invalid('No image was generated. Is your Dockerfile empty?');
    await printer.image(outcome.id);
    for (const step of steps.slice(triggers.length)) {
      await printer.step(step.instruction.text);
      outcome = await next(step);
      await printer.image(outcome.id);
    }
    return outcome;
  }

  async #tag(id: Digest, signal: AbortSignal): Promise<void> {
    const { tags } = this.#request;
    for (const tag of tags) {
      signal.throwIfAborted();
      await this.#ports.store.tag(id, tag);
    }
    this.#image = id;
    await this.#printer!.built(id, tags);
  }

  #unusedArgs({ globalArgs }: Dockerfile, recorder: StepRecorder): string[] {
    const global = globalArgs.flatMap(({ args }) => args.map(({ name }) => name));
    const declared = new Set([...global, ...recorder.declaredArgs]);
    return Object.entries(this.#request.buildArgs)
      .filter(([name, value]) => value !== null && !declared.has(name) && !PREDEFINED.test(name))
      .map(([name]) => name)
      .sort();
  }
}

/** The one that is built; where it does nothing, the one that it stands on. */
function wholeStages(target: Stage, recorder: StepRecorder): ReadonlySet<Stage> {
  const stages = new Set([target]);
  for (const stage of stages) {
    if (stage.base && recorder.stepsOf(stage).length === 0) stages.add(stage.base);
  }
  return stages;
}
