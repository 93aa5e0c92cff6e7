import type { Platform } from '#oci/platform.ts';
import type { PatternMatcher } from '../../context/pattern-matcher.ts';
import { expandTracked } from '../../dockerfile/expansion.ts';
import type { Instruction } from '../../dockerfile/instructions.ts';
import type { Linter } from '../../dockerfile/lint/linter.ts';
import { checkVariables } from '../../dockerfile/lint/stage-checks.ts';
import { lineByLine } from '../../dockerfile/ranges.ts';
import type { Range, SourceInfo, SourceRange } from '../../llb/source-info.ts';
import type { Draft, Drafts } from '../graph/draft.ts';
import type { Environment } from '../graph/environment.ts';
import type { BuildOptions } from '../options/build-options.ts';
import type { CompileObserver } from './compile-observer.ts';
import type { Stage } from './stage.ts';

/** One Dockerfile on its way to a graph for one platform: what all its stages have in common. */
export interface Compilation {
  readonly options: BuildOptions;
  readonly source: SourceInfo;
  readonly escapeToken: string;
  readonly drafts: Drafts;
  /** Where steps run, unless a FROM says otherwise. */
  readonly buildPlatform: Platform;
  /** What is built for. */
  readonly targetPlatform: Platform;
  /** ARGs before the first FROM, and the builder's own. */
  readonly globalArgs: Environment;
  /** What COPY reads without `--from`. */
  readonly context: Draft;
  /** When the build is said to happen; undefined: now, whenever that is. */
  readonly epoch: Date | undefined;
  readonly linter: Linter;
  /** What the client keeps of the context; undefined: nothing. */
  readonly ignored: PatternMatcher | undefined;
  /** Bytes of history that all stages have together. */
  readonly written: { history: number };
  readonly observer: CompileObserver | undefined;
}

/** Expands a word of an instruction with what its stage has set. Throws `DockerfileError`. */
export function expandIn(
  compilation: Compilation,
  stage: Stage,
  instruction: Instruction,
  word: string,
): string {
  const { escapeToken } = compilation;
  const expansion = expandTracked(word, (name) => stage.environment.get(name), { escapeToken });
  reportUnset(compilation, stage, instruction, expansion.unmatched);
  return expansion.result;
}

/** Tells of variables that are used and were never set. */
export function reportUnset(
  { linter }: Compilation,
  stage: Stage,
  instruction: Instruction,
  unmatched: ReadonlySet<string>,
): void {
  if (unmatched.size === 0) return;
  const declared = new Set(stage.args.map(({ name }) => name));
  checkVariables(instruction, unmatched, { declared, known: stage.environment.names }, linter);
}

export function sourceOf(compilation: Compilation, range: Range): SourceRange {
  return { info: compilation.source, ranges: lineByLine(range) };
}

/** The platform to name in progress: only where there are several. */
export function shownPlatform(
  { options }: Compilation,
  platform: Platform | undefined,
): Platform | undefined {
  return options.multiPlatform ? platform : undefined;
}
