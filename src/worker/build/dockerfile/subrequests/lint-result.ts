import type { SourceInfo } from '../../llb/source-info.ts';
import type { DockerfileError } from '../dockerfile-error.ts';
import type { LintWarning } from '../lint/linter.ts';
import { formatSource } from '../source-excerpt.ts';
import { locationOf, locationOfAll } from './location.ts';
import { LINT, type SubrequestResult, subrequestResult } from './subrequest.ts';

/** `docker build --check`: what may be a mistake in a Dockerfile, and what is one. */
export function lintResult(
  source: SourceInfo,
  warnings: readonly LintWarning[],
  error?: Pick<DockerfileError, 'message' | 'ranges'>,
): SubrequestResult {
  const { filename, language } = source;
  const json = {
    warnings:
      warnings.length === 0
        ? null
        : warnings.map(({ rule, description, url, message, range }) => ({
            ruleName: rule,
            description,
            ...(url !== '' && { url }),
            detail: message,
            location: locationOf(range),
          })),
    sources: [{ filename, data: Buffer.from(source.data).toString('base64'), language }],
    ...(error && { buildError: { message: error.message, location: locationOfAll(error.ranges) } }),
  };
  const text = [...warnings]
    .sort((a, b) => a.range.start.line - b.range.start.line)
    .map((warning) => warningText(source, warning))
    .join('');
  const failed = warnings.length > 0 || error !== undefined;
  return subrequestResult(LINT, json, text, { 'result.statuscode': failed ? '1' : '0' });
}

function warningText(info: SourceInfo, { rule, url, message, range }: LintWarning): string {
  const heading = url === '' ? rule : `${rule} - ${url}`;
  return `\nWARNING: ${heading}\n${message}\n${formatSource({ info, ranges: [range] })}`;
}
