import type { Platform } from '#oci/platform.ts';
import type { FromInstruction, Instruction } from '../../dockerfile/instructions.ts';
import type { Range } from '../../llb/source-info.ts';
import type { Draft } from '../graph/draft.ts';
import { Environment, splitVariable } from '../graph/environment.ts';
import { bareImage, cloneImage, type Image } from '../image/image.ts';
import type { NamedContext } from '../inputs/named-contexts.ts';
import { OutlineCapture } from './outline-capture.ts';

/** An instruction, and the stages that its `from`s mean: one for COPY, one a mount for RUN. */
export interface Command {
  readonly instruction: Instruction;
  readonly sources: readonly (Stage | undefined)[];
  /** It comes from the base image. */
  readonly onbuild: boolean;
}

export interface StageArg {
  readonly name: string;
  readonly value?: string;
}

/** One stage on its way from a FROM line to files and a configuration. An image of `COPY --from` is one too. */
export class Stage {
  /** As written after AS, in lower case; '' for none. */
  readonly name: string;
  /** undefined: not of the file, but an image that an instruction names. */
  readonly from: FromInstruction | undefined;
  /** Where to point when it fails. */
  readonly range: Range | undefined;
  /** As progress shows it: the name, or `stage-N`; '' when there is no other stage. */
  label: string;
  /** What FROM says, expanded; later what that was resolved to. */
  baseName: string;
  base: Stage | undefined;
  namedContext: NamedContext | undefined;
  commands: Command[] = [];
  /** Stages that its instructions read, and the instruction that does. */
  readonly dependencies = new Map<Stage, Range>();
  ignoreCache = false;

  /** Its base is known. */
  resolved = false;
  /** Its files are known. */
  compiled = false;
  onbuildTaken = false;

  platform: Platform | undefined;
  image: Image;
  /** The configuration of the image that it is built on, exactly. */
  baseConfig: Uint8Array | undefined;

  /** Its files so far; undefined: none. */
  files: Draft | undefined;
  /** Of the files, where they have one. */
  filesPlatform: Platform | undefined;
  environment = new Environment();
  directory = '/';
  user = '';
  args: StageArg[] = [];
  workdirSet = false;
  /** Where CMD, ENTRYPOINT, HEALTHCHECK were set in this stage: the last one counts. */
  readonly lastOf = new Map<'CMD' | 'ENTRYPOINT' | 'HEALTHCHECK', Range>();

  /** Paths of the main context that it reads. */
  readonly contextPaths = new Set<string>();
  /** Paths of itself that others read; one set with its base, whose files they are. */
  paths = new Set<string>();

  stepCount = 0;
  stepsNamed = 0;
  outline = new OutlineCapture();

  constructor(init: {
    readonly name?: string;
    readonly label?: string;
    readonly baseName: string;
    readonly from?: FromInstruction;
    readonly range?: Range;
    readonly platform?: Platform;
    readonly target: Platform;
  }) {
    this.name = init.name ?? '';
    this.label = init.label ?? this.name;
    this.baseName = init.baseName;
    this.from = init.from;
    this.range = init.range;
    this.platform = init.platform;
    this.image = bareImage(init.target);
  }

  /** `NAME=value`s of an image. */
  setVariables(entries: readonly string[]): void {
    for (const entry of entries) this.environment.set(...splitVariable(entry));
  }

  /** Takes over what its base has come to. */
  inherit(): void {
    const { base } = this;
    if (!base) return;
    this.files = base.files;
    this.filesPlatform = base.filesPlatform;
    this.environment = new Environment(base.environment);
    this.directory = base.directory;
    this.user = base.user;
    this.platform = base.platform;
    this.image = cloneImage(base.image);
    // Triggers are for those who build on an image, not on a stage; those are taken from its instructions.
    delete this.image.config.OnBuild;
    this.baseConfig = base.baseConfig;
    this.paths = base.paths;
    this.workdirSet = base.workdirSet;
    this.args = [...base.args];
  }
}

/** The stages that a stage needs, itself among them. */
export function reachableFrom(target: Stage): Set<Stage> {
  const reached = new Set([target]);
  for (const stage of reached) {
    if (stage.base) reached.add(stage.base);
    for (const dependency of stage.dependencies.keys()) reached.add(dependency);
  }
  return reached;
}
