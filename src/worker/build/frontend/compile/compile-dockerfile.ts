import type { Platform } from '#oci/platform.ts';
import { PatternMatcher } from '../../context/pattern-matcher.ts';
import { checkDefaultBases } from '../../dockerfile/lint/from-checks.ts';
import type { Linter } from '../../dockerfile/lint/linter.ts';
import type { Dockerfile } from '../../dockerfile/parser.ts';
import type { Edge } from '../../llb/vertex.ts';
import type { Draft } from '../graph/draft.ts';
import { Drafts } from '../graph/draft.ts';
import { encodeImage, type Image } from '../image/image.ts';
import type { ImageResolver } from '../inputs/image-resolver.ts';
import type { DockerfileSource, MainContext } from '../inputs/main-context.ts';
import type { NamedContexts } from '../inputs/named-contexts.ts';
import type { BuildOptions } from '../options/build-options.ts';
import { normalizePlatform } from '../platforms.ts';
import type { Compilation } from './compilation.ts';
import { compileStage } from './compile-stage.ts';
import { builderArgs, globalArgs } from './global-args.ts';
import { planStages } from './plan-stages.ts';
import { followedPaths, resolveStages } from './resolve-stages.ts';
import type { Stage } from './stage.ts';
import { refuseCircles } from './stage-table.ts';

export interface CompileRequest {
  readonly dockerfile: Dockerfile;
  readonly source: DockerfileSource;
  readonly options: BuildOptions;
  readonly context: MainContext;
  readonly contexts: NamedContexts;
  readonly images: ImageResolver;
  readonly linter: Linter;
  readonly buildPlatform: Platform;
  /** undefined: nobody said; what the base image is for. */
  readonly targetPlatform: Platform | undefined;
  readonly epoch: Date | undefined;
  /** Compile what the target does not need as well: to see what is wrong with it. */
  readonly allStages?: boolean;
}

export interface CompiledDockerfile {
  readonly target: Stage;
  /** undefined: an empty file system. */
  readonly edge: Edge | undefined;
  /** Configuration of the image. */
  readonly config: Uint8Array;
  readonly baseConfig: Uint8Array | undefined;
}

/** A Dockerfile as a graph and an image configuration, for one platform. */
export async function compileDockerfile(request: CompileRequest): Promise<CompiledDockerfile> {
  const { dockerfile, options, contexts, images, context, linter } = request;
  const { escape: escapeToken } = dockerfile.directives;
  const targetPlatform = normalizePlatform(request.targetPlatform ?? request.buildPlatform);
  const targetName = options.target || dockerfile.stages.at(-1)!.from.stage || '';
  const own = builderArgs(request.buildPlatform, targetPlatform, targetName, options.buildArgs);
  checkDefaultBases(dockerfile, (name) => own.get(name), linter);
  const globals = globalArgs(own, dockerfile.globalArgs, options.buildArgs, escapeToken);

  const drafts = new Drafts();
  const used = new Set<string>();
  const patterns = await context.ignorePatterns();
  const compilation: Compilation = {
    options,
    source: request.source.info,
    escapeToken,
    drafts,
    buildPlatform: request.buildPlatform,
    targetPlatform,
    globalArgs: globals.environment,
    context: drafts.add(() => context.edge(patterns, followedPaths(used))),
    epoch: request.epoch,
    linter,
    ignored: patterns.length > 0 ? new PatternMatcher(patterns) : undefined,
    written: { history: 0 },
  };
  const table = planStages(compilation, dockerfile.stages, { contexts, globals: globals.uses });
  const target = table.target(options.target);
  refuseCircles(table.all);
  if (table.all.length === 1) target.label = '';
  const all = request.allStages ?? false;
  const needed = await resolveStages({ compilation, table, images, contexts, all }, target);
  for (const stage of table.all) {
    if (needed.has(stage) && !stage.compiled) compileStage(compilation, stage);
  }
  for (const stage of needed) for (const path of stage.contextPaths) used.add(path);
  target.paths.add('/');
  const image = finished(request, target, targetPlatform);
  const violation = linter.violation();
  if (violation) throw violation;
  drafts.finish();
  return {
    target,
    edge: edgeOf(target.files),
    config: encodeImage(image),
    baseConfig: target.baseConfig,
  };
}

/** Labels that were asked for come last; the platform that was asked for is the image's. */
function finished(
  { options, targetPlatform: asked }: CompileRequest,
  target: Stage,
  platform: Platform,
): Image {
  const { image } = target;
  if (options.labels.size > 0)
    image.config.Labels = new Map([...(image.config.Labels ?? []), ...options.labels]);
  if (!asked) return image;
  const { variant } = image.platform;
  const isSame = image.platform.os === platform.os && image.platform.architecture === platform.architecture;
  return {
    ...image,
    platform: isSame && variant ? { ...platform, variant: platform.variant ?? variant } : platform,
  };
}

function edgeOf(draft: Draft | undefined): Edge | undefined {
  return draft?.edge;
}
