import type { Platform } from '#oci/platform.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import { parseDockerfile } from '../dockerfile/parser.ts';
import { lineByLine } from '../dockerfile/ranges.ts';
import { SourceError } from '../llb/source-error.ts';
import { DockerfileBuild } from './dockerfile-build.ts';
import type { Bridge, Frontend, FrontendRequest, FrontendResult } from './frontend.ts';
import { type DockerfileSource, MainContext } from './inputs/main-context.ts';
import { silentLinter, warningLinter } from './lint-warnings.ts';
import { readBuildOptions } from './options/build-options.ts';
import { type PlatformResult, resultOf } from './result.ts';
import { answerSubrequest } from './subrequests.ts';
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
    const { requestid } = request.options;
    const reading = context.readDockerfile();
    if (requestid === undefined) context.expectIgnorePatterns();
    const source = await reading;
    const build = new DockerfileBuild({
      request,
      bridge,
      options,
      context,
      source,
      platform: this.#platform,
    });
    try {
      refuseForeignSyntax(request.options, source.text);
      if (source.text === '') throw new DockerfileError('the Dockerfile cannot be empty');
      return requestid === undefined ? await compileAll(build) : await answerSubrequest(requestid, build);
    } catch (error) {
      throw withSource(error, source);
    }
  }
}

async function compileAll(build: DockerfileBuild): Promise<FrontendResult> {
  const { options, source, bridge } = build;
  const linter = warningLinter(source, options, bridge);
  const dockerfile = parseDockerfile(source.text, linter);
  const targets = options.platforms.length > 0 ? options.platforms : [undefined];
  const results = await Promise.all(
    targets.map(async (targetPlatform, at): Promise<PlatformResult> => {
      // Findings would be the same for each platform.
      const compiled = await build.compile(dockerfile, {
        targetPlatform,
        linter: at === 0 ? linter : silentLinter(),
      });
      return { platform: targetPlatform ?? build.platform, compiled };
    }),
  );
  return resultOf(results, options);
}

/** What is wrong with the Dockerfile, with the Dockerfile. */
function withSource(error: unknown, { info }: DockerfileSource): unknown {
  if (!(error instanceof DockerfileError) || error.ranges.length === 0) return error;
  return new SourceError(
    error,
    error.ranges.map((range) => ({ info, ranges: lineByLine(range) })),
  );
}
