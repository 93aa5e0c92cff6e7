import type { Platform } from '#oci/platform.ts';
import { PatternMatcher } from '../../context/pattern-matcher.ts';
import { checkDefaultBases } from '../../dockerfile/lint/from-checks.ts';
import type { Linter } from '../../dockerfile/lint/linter.ts';
import type { Dockerfile } from '../../dockerfile/parser.ts';
import type { Edge } from '../../llb/vertex.ts';
import { resolveEpoch } from '../epoch.ts';
import type { Bridge } from '../frontend.ts';
import { Drafts } from '../graph/draft.ts';
import type { Environment } from '../graph/environment.ts';
import { mergeNames } from '../graph/merge-names.ts';
import { encodeImage, type Image } from '../image/image.ts';
import type { ImageResolver } from '../inputs/image-resolver.ts';
import type { DockerfileSource, MainContext } from '../inputs/main-context.ts';
import type { NamedContexts } from '../inputs/named-contexts.ts';
import type { BuildOptions } from '../options/build-options.ts';
import { normalizePlatform } from '../platforms.ts';
import type { Compilation } from './compilation.ts';
import type { CompileObserver } from './compile-observer.ts';
import { compileStage } from './compile-stage.ts';
import { epochSource } from './epoch-source.ts';
import { builderArgs, globalArgs } from './global-args.ts';
import { planStages } from './plan-stages.ts';
import { followedPaths, resolveStages } from './resolve-stages.ts';
import { scannedEdges } from './scanned-stages.ts';
import { reachableFrom, type Stage } from './stage.ts';
import { refuseCircles } from './stage-table.ts';

export interface CompileRequest {
  readonly dockerfile: Dockerfile;
  readonly source: DockerfileSource;
  readonly options: BuildOptions;
  readonly context: MainContext;
  readonly contexts: NamedContexts;
  readonly images: Pick<ImageResolver, 'resolve' | 'fullName'>;
  readonly linter: Linter;
  readonly buildPlatform: Platform;
  /** undefined: nobody said; what the base image is for. */
  readonly targetPlatform: Platform | undefined;
  readonly bridge: Pick<Bridge, 'solve' | 'readDirectory' | 'readFile'>;
  /** Compile what the target does not need as well: to see what is wrong with it. */
  readonly allStages?: boolean;
  readonly observer?: CompileObserver;
}

export interface CompiledDockerfile {
  readonly target: Stage;
  /** undefined: an empty file system. */
  readonly edge: Edge | undefined;
  /** Configuration of the image. */
  readonly config: Uint8Array;
  readonly baseConfig: Uint8Array | undefined;
  readonly epoch: Date | undefined;
  /** What else is to be scanned for packages, by name. */
  readonly extras: ReadonlyMap<string, Edge>;
}

const EPOCH = 'SOURCE_DATE_EPOCH';

/** A Dockerfile as a graph and an image configuration, for one platform. */
export async function compileDockerfile(request: CompileRequest): Promise<CompiledDockerfile> {
  const { dockerfile, contexts, images, context, linter } = request;
  const { escape: escapeToken } = dockerfile.directives;
  const targetPlatform = normalizePlatform(request.targetPlatform ?? request.buildPlatform);
  const targetName = request.options.target || dockerfile.stages.at(-1)!.from.stage || '';
  const { buildArgs: given } = request.options;
  const own = builderArgs(request.buildPlatform, targetPlatform, targetName, given);
  checkDefaultBases(dockerfile, (name) => own.get(name), linter);
  const globals = globalArgs(own, dockerfile.globalArgs, given, escapeToken);
  const epoch = await resolveEpoch(given.get(EPOCH) ?? globals.environment.get(EPOCH) ?? '', {
    bridge: request.bridge,
    sourceOf: (name) =>
      epochSource(name, {
        ...{ dockerfile, context, contexts, platform: targetPlatform },
        ...{ buildArgs: given, globals: globals.environment },
      }),
  });
  const options = { ...request.options, buildArgs: withEpoch(given, epoch) };
  if (globals.environment.get(EPOCH) !== undefined) setEpoch(globals.environment, epoch);

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
    epoch,
    linter,
    ignored: patterns.length > 0 ? new PatternMatcher(patterns) : undefined,
    written: { history: 0 },
    observer: request.observer,
  };
  const table = planStages(compilation, dockerfile.stages, { contexts, globals: globals.uses });
  const target = table.target(options.target);
  refuseCircles(table.all);
  if (standsAlone(table.all)) target.label = '';
  const reachable = reachableFrom(target);
  await request.observer?.planned(table.all.filter((stage) => stage.from && reachable.has(stage)));
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
  const extras = scannedEdges(compilation, target, needed);
  return {
    target,
    edge: target.files && mergeNames(target.files.edge),
    config: encodeImage(image),
    baseConfig: target.baseConfig,
    epoch,
    extras,
  };
}

/** Stages see what SOURCE_DATE_EPOCH came to. */
function withEpoch(given: ReadonlyMap<string, string>, epoch: Date | undefined): ReadonlyMap<string, string> {
  if (!given.has(EPOCH)) return given;
  const buildArgs = new Map(given);
  if (epoch) buildArgs.set(EPOCH, secondsOf(epoch));
  else buildArgs.delete(EPOCH);
  return buildArgs;
}

function setEpoch(environment: Environment, epoch: Date | undefined): void {
  if (epoch) environment.set(EPOCH, secondsOf(epoch));
  else environment.delete(EPOCH);
}

function secondsOf(epoch: Date): string {
  return String(epoch.getTime() / 1000);
}

/** BuildKit counts a mount as a stage, whatever it is of; then progress names stages. */
function standsAlone(stages: readonly Stage[]): boolean {
  const [only, ...more] = stages;
  if (!only || more.length > 0) return false;
  return only.commands.every(
    ({ instruction }) => instruction.name !== 'RUN' || instruction.mounts.length === 0,
  );
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
  const { variant, 'os.version': version } = image.platform;
  const isSame = image.platform.os === platform.os && image.platform.architecture === platform.architecture;
  if (!isSame) return { ...image, platform };
  return {
    ...image,
    platform: { ...(variant && { variant }), ...(version && { 'os.version': version }), ...platform },
  };
}
