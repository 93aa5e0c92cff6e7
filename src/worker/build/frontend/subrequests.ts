import { SlipwayError, unsupported } from '#errors/errors.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import { lintConfigOf } from '../dockerfile/lint/lint-config.ts';
import { Linter, type LintWarning } from '../dockerfile/lint/linter.ts';
import { parseDockerfile } from '../dockerfile/parser.ts';
import { describeResult } from '../dockerfile/subrequests/describe.ts';
import { lintResult } from '../dockerfile/subrequests/lint-result.ts';
import { outlineResult } from '../dockerfile/subrequests/outline.ts';
import {
  DESCRIBE,
  LINT,
  OUTLINE,
  type SubrequestResult,
  TARGETS,
} from '../dockerfile/subrequests/subrequest.ts';
import { targetsResult } from '../dockerfile/subrequests/targets.ts';
import { outlineOf } from './compile/outline-of.ts';
import type { DockerfileBuild } from './dockerfile-build.ts';
import type { FrontendResult } from './frontend.ts';
import { silentLinter } from './lint-warnings.ts';

/** What a client wants to know of a Dockerfile in place of a build (`docker build --call`). Throws `unsupported`. */
export async function answerSubrequest(name: string, build: DockerfileBuild): Promise<FrontendResult> {
  return { refs: new Map(), metadata: await answer(name, build) };
}

function answer(name: string, build: DockerfileBuild): SubrequestResult | Promise<SubrequestResult> {
  const { text, info } = build.source;
  switch (name) {
    case DESCRIBE.name:
      return describeResult();
    case TARGETS.name:
      return targetsResult(parseDockerfile(text), info.data);
    case OUTLINE.name:
      return outline(build);
    case LINT.name:
      return lint(build);
    default:
      throw unsupported(`unsupported request ${name}`);
  }
}

async function outline(build: DockerfileBuild): Promise<SubrequestResult> {
  const { text, info } = build.source;
  const [targetPlatform] = build.options.platforms;
  const { target } = await build.compile(parseDockerfile(text), { targetPlatform, linter: silentLinter() });
  return outlineResult(outlineOf(target), info.data);
}

/** Without a target all stages are looked at. What fails the build is part of the answer. */
async function lint(build: DockerfileBuild): Promise<SubrequestResult> {
  const { options, source } = build;
  const warnings: LintWarning[] = [];
  const [targetPlatform] = options.platforms;
  try {
    const linter = new Linter(lintConfigOf(source.text, options.check), (warning) => warnings.push(warning));
    const dockerfile = parseDockerfile(source.text, linter);
    await build.compile(dockerfile, { targetPlatform, linter, allStages: options.target === '' });
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    const ranges = error instanceof DockerfileError ? error.ranges : [];
    return lintResult(source.info, warnings, { message: error.message, ranges });
  }
  return lintResult(source.info, warnings);
}
