import type { Platform } from '#oci/platform.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import { parseDockerfile } from '../dockerfile/parser.ts';
import { lineByLine } from '../dockerfile/ranges.ts';
import { SourceError } from '../llb/source-error.ts';
import { compileDockerfile } from './compile/compile-dockerfile.ts';
import { readEpoch } from './epoch.ts';
import type { Bridge, Frontend, FrontendRequest, FrontendResult } from './frontend.ts';
import { ImageResolver } from './inputs/image-resolver.ts';
import { type DockerfileSource, MainContext } from './inputs/main-context.ts';
import { NamedContexts } from './inputs/named-contexts.ts';
import { silentLinter, warningLinter } from './lint-warnings.ts';
import { type BuildOptions, readBuildOptions } from './options/build-options.ts';
import { type PlatformResult, resultOf } from './result.ts';
import { refuseForeignSyntax } from './syntax.ts';

/** `dockerfile.v0`: Dockerfiles as graphs (BuildKit's frontend/dockerfile, syntax 1.26). */
export class DockerfileFrontend implements Frontend {
  readonly #platform: Platform;

  /** `platform`: the worker's own, which steps run on unless somebody says otherwise. */
  constructor({ platform }: { readonly platform: Platform }) {
    this.#platform = platform;
  }

  async solve(request: FrontendRequest, bridge: Bridge): Promise<FrontendResult> {
    const options = readBuildOptions(request.options);
    const context = await MainContext.open(request, bridge);
    const source = await context.readDockerfile();
    try {
      refuseForeignSyntax(request.options, source.text);
      return await this.#compile(request, bridge, { options, context, source });
    } catch (error) {
      throw withSource(error, source);
    }
  }

  async #compile(
    request: FrontendRequest,
    bridge: Bridge,
    { options, context, source }: { options: BuildOptions; context: MainContext; source: DockerfileSource },
  ): Promise<FrontendResult> {
    const linter = warningLinter(source, options, bridge);
    const dockerfile = parseDockerfile(source.text, linter);
    const images = new ImageResolver(bridge);
    const contexts = new NamedContexts({ request, bridge, images, mode: options.resolveMode });
    const epoch = readEpoch(options.buildArgs.get('SOURCE_DATE_EPOCH'));
    const targets = options.platforms.length > 0 ? options.platforms : [undefined];
    const results = await Promise.all(
      targets.map(async (targetPlatform, at): Promise<PlatformResult> => {
        const compiled = await compileDockerfile({
          dockerfile,
          source,
          options,
          context,
          contexts,
          images,
          linter: at === 0 ? linter : silentLinter(),
          buildPlatform: this.#platform,
          targetPlatform,
          epoch,
        });
        return { platform: targetPlatform ?? this.#platform, compiled };
      }),
    );
    return resultOf(results, { multiPlatform: options.multiPlatform, epoch });
  }
}

/** What is wrong with the Dockerfile, with the Dockerfile. */
function withSource(error: unknown, { info }: DockerfileSource): unknown {
  if (!(error instanceof DockerfileError) || error.ranges.length === 0) return error;
  return new SourceError(
    error,
    error.ranges.map((range) => ({ info, ranges: lineByLine(range) })),
  );
}
