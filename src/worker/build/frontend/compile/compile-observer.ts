import type { Command, Stage } from './stage.ts';

/** Hears of a Dockerfile while it is compiled. What it throws ends that. */
export interface CompileObserver {
  /** The stages that the target needs, in the order of the file; nothing is known of their base images. */
  planned(stages: readonly Stage[]): void | Promise<void>;
  /** A stage has what it is built on, and nothing else so far. */
  begun(stage: Stage): void;
  /** An instruction has changed its stage. */
  compiled(stage: Stage, command: Command): void;
}
