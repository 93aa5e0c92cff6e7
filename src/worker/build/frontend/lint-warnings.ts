import { lintConfigOf } from '../dockerfile/lint/lint-config.ts';
import { Linter, shortWarning } from '../dockerfile/lint/linter.ts';
import { lineByLine } from '../dockerfile/ranges.ts';
import type { Bridge } from './frontend.ts';
import type { DockerfileSource } from './inputs/main-context.ts';
import type { BuildOptions } from './options/build-options.ts';

/** A linter whose findings are warnings of the build, as of where its Dockerfile was read. */
export function warningLinter(
  { text, info, vertex }: DockerfileSource,
  { check }: BuildOptions,
  bridge: Pick<Bridge, 'warn'>,
): Linter {
  return new Linter(lintConfigOf(text, check), (warning) => {
    const { description, url, range } = warning;
    bridge.warn({
      vertex,
      level: 1,
      short: shortWarning(warning),
      detail: [description],
      ...(url && { url }),
      source: { info, ranges: lineByLine(range) },
    });
  });
}

/** For further platforms of one Dockerfile, whose findings would be the same. */
export function silentLinter(): Linter {
  return new Linter({ skipped: 'all', experimental: [], failing: false }, () => undefined);
}
