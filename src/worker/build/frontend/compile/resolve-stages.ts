import { SlipwayError } from '#errors/errors.ts';
import { DockerfileError, locate } from '../../dockerfile/dockerfile-error.ts';
import { checkBasePlatform } from '../../dockerfile/lint/from-checks.ts';
import { parseFragment } from '../../dockerfile/parser.ts';
import { didYouMean } from '../../dockerfile/suggestion.ts';
import { SourceError } from '../../llb/source-error.ts';
import { imageEdge } from '../graph/sources.ts';
import { bareImage, emptyImage, encodeImage, type Image, readImage } from '../image/image.ts';
import { hasDigest } from '../inputs/full-reference.ts';
import type { ImageResolver } from '../inputs/image-resolver.ts';
import type { LoadedContext, NamedContext, NamedContexts } from '../inputs/named-contexts.ts';
import { platformId } from '../platforms.ts';
import { type Compilation, shownPlatform, sourceOf } from './compilation.ts';
import { reachableFrom, type Stage } from './stage.ts';
import type { StageTable } from './stage-table.ts';
import { nameStep } from './vertex-name.ts';

/** Base images that people mean when they mistype them. */
const COMMON_IMAGES = ['alpine', 'busybox', 'centos', 'debian', 'golang', 'ubuntu', 'fedora'];

interface Ports {
  readonly compilation: Compilation;
  readonly table: StageTable;
  readonly images: Pick<ImageResolver, 'resolve' | 'fullName'>;
  readonly contexts: NamedContexts;
  /** Resolve what the target does not need as well. */
  readonly all: boolean;
}

/**
 * Finds out what the stages that a target needs are built on, images in parallel. Triggers of base images may need
 * more stages, which are resolved in turn. Answers the stages that are needed.
 */
export async function resolveStages(ports: Ports, target: Stage): Promise<ReadonlySet<Stage>> {
  for (;;) {
    const reachable = ports.all ? new Set(ports.table.all) : reachableFrom(target);
    await resolveBases(ports, reachable);
    const grown = [...reachable].map((stage) => takeTriggers(ports.table, stage)).some(Boolean);
    if (!grown) return ports.all ? new Set(ports.table.all) : reachable;
  }
}

async function resolveBases(ports: Ports, reachable: ReadonlySet<Stage>): Promise<void> {
  const { compilation, table } = ports;
  await Promise.all(
    table.all.map(async (stage) => {
      if (stage.base || stage.resolved) return;
      const isNeeded = reachable.has(stage);
      stage.resolved = isNeeded;
      const isScratch = stage.baseName === 'scratch' && !stage.namedContext;
      if (isScratch) startEmpty(compilation, stage);
      else if (isNeeded) await located(compilation, stage, () => resolveBase(ports, stage));
      // Nobody asks for it, but it has to be a name.
      else await located(compilation, stage, () => fullReferenceOf(stage, ports.images));
      // An image of an instruction is what it is.
      if (isNeeded && !stage.from) stage.compiled = true;
    }),
  );
}

function startEmpty({ targetPlatform }: Compilation, stage: Stage): void {
  stage.image = emptyImage(targetPlatform);
  stage.platform = targetPlatform;
  if (!stage.from) stage.compiled = true;
}

async function resolveBase(ports: Ports, stage: Stage): Promise<void> {
  const { compilation, contexts, images, table } = ports;
  if (stage.namedContext) {
    await replaceStage(compilation, stage, stage.namedContext);
    return;
  }
  const written = stage.baseName;
  const platform = stage.platform ?? compilation.targetPlatform;
  const reference = fullReferenceOf(stage, images);
  const context = contexts.find(reference, platform);
  if (context) {
    startFrom(compilation, stage, await context.load());
    return;
  }

  const mode = compilation.options.resolveMode;
  const shown = shownPlatform(compilation, platform);
  const prefix = `[${shown ? `${platformId(shown)} ` : ''}internal]`;
  const resolved = await images
    .resolve(reference, { written, platform, mode, name: `${prefix} load metadata for ${reference}` })
    .catch((error: unknown) => {
      throw aboutImage(error, written, table);
    });
  const image = readImage(resolved.config);
  stage.image = image;
  stage.baseConfig = resolved.config;
  stage.platform = platform;
  const pinned = hasDigest(resolved.reference)
    ? resolved.reference
    : `${resolved.reference}@${resolved.digest}`;
  stage.baseName = pinned;
  if (isEmpty(image)) return;
  stage.filesPlatform = platform;
  const source = stage.range && sourceOf(compilation, stage.range);
  const metadata = {
    name: nameStep(stage, `FROM ${pinned}`, { platform: shown }),
    ...(source && { source }),
  };
  stage.files = compilation.drafts.add(() => imageEdge(pinned, { platform, mode, metadata }));
  if (stage.from) checkBasePlatform(stage.from, written, platform, image.platform, compilation.linter);
}

/** A named context takes the place of a whole stage. */
async function replaceStage(compilation: Compilation, stage: Stage, context: NamedContext): Promise<void> {
  const loaded = await context.load();
  stage.compiled = true;
  stage.platform = loaded.image?.platform ?? stage.platform ?? compilation.targetPlatform;
  take(compilation, stage, loaded);
  stage.image = loaded.image ?? bareImage(stage.platform);
  if (!loaded.image) return;
  const { Env = [], WorkingDir } = loaded.image.config;
  stage.filesPlatform = stage.platform;
  stage.setVariables(Env);
  stage.directory = WorkingDir || '/';
}

/** A named context takes the place of a stage's base image. */
function startFrom(compilation: Compilation, stage: Stage, loaded: LoadedContext): void {
  const platform = stage.platform ?? compilation.targetPlatform;
  stage.platform = platform;
  stage.filesPlatform = platform;
  take(compilation, stage, loaded);
  stage.image = loaded.image ?? emptyImage(platform);
  stage.baseConfig = loaded.config ?? encodeImage(stage.image);
}

function take({ drafts }: Compilation, stage: Stage, { files }: LoadedContext): void {
  stage.files = files && drafts.add(() => files(followedPaths(stage.paths)));
}

/** What of a directory is asked for; undefined: all. */
export function followedPaths(paths: ReadonlySet<string>): readonly string[] | undefined {
  if (paths.size === 0 || paths.has('/')) return undefined;
  return [...paths].map((path) => path.replace(/^\/+/, '')).sort();
}

/** ONBUILD of what a stage is built on: instructions of its own now. Answers whether they read from other stages. */
function takeTriggers(table: StageTable, stage: Stage): boolean {
  if (stage.onbuildTaken) return false;
  stage.onbuildTaken = true;
  const { base } = stage;
  const ofImage = base ? [] : (stage.image.config.OnBuild ?? []);
  const ofStage = base?.commands.flatMap(({ instruction }) =>
    instruction.name === 'ONBUILD' ? [instruction.trigger] : [],
  );
  const triggers = [...ofImage, ...(ofStage ?? [])];
  delete stage.image.config.OnBuild;
  if (triggers.length === 0 || !stage.range) return false;
  const { range } = stage;
  const commands = triggers.map((trigger) =>
    locate(range, () => {
      const [instruction, ...more] = parseFragment(trigger, range.start);
      if (!instruction || more.length > 0) {
        throw new DockerfileError('onbuild trigger should be a single expression');
      }
      return table.link(stage, instruction, { onbuild: true });
    }),
  );
  stage.commands = [...commands, ...stage.commands];
  stage.stepCount += commands.length;
  return commands.some(({ sources }) => sources.some(Boolean));
}

function fullReferenceOf(stage: Stage, images: Ports['images']): string {
  try {
    return images.fullName(stage.baseName);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    throw new DockerfileError(`failed to parse stage name ${JSON.stringify(stage.baseName)}: ${why}`);
  }
}

/** Images without layers are nothing to fetch. */
function isEmpty({ diffIds, history }: Image): boolean {
  return diffIds.length === 0 && history.every((entry) => entry.empty_layer);
}

function aboutImage(error: unknown, written: string, table: StageTable): unknown {
  if (!(error instanceof SlipwayError)) return error;
  const known = [...table.names, ...COMMON_IMAGES.flatMap((name) => [name, `${name}:latest`])];
  const suggestion = error.kind === 'not-found' ? didYouMean(written, known) : '';
  return new SlipwayError(error.kind, `${written}: ${error.message}${suggestion}`, { cause: error });
}

async function located(compilation: Compilation, stage: Stage, task: () => unknown): Promise<void> {
  try {
    await task();
  } catch (error) {
    const { range } = stage;
    if (!range || !(error instanceof SlipwayError) || error instanceof SourceError) throw error;
    if (error instanceof DockerfileError) throw new DockerfileError(error.message, [...error.ranges, range]);
    throw new SourceError(error, [sourceOf(compilation, range)]);
  }
}
