import { isKind } from '#errors/errors.ts';
import { formatPlatform, type Platform, parsePlatform } from '#oci/platform.ts';
import { parseImageReference } from '#oci/reference.ts';
import { DockerfileError } from '../dockerfile-error.ts';
import { type Expansion, expand, type Variables } from '../expansion.ts';
import type { FromInstruction } from '../instructions.ts';
import type { Dockerfile } from '../parser.ts';
import { suggestionFor } from '../suggestion.ts';
import type { Linter } from './linter.ts';
import { RULES } from './rules.ts';

/**
 * Whether each FROM is an image's name when the build gives no ARG a value. `builderArgs`: TARGETPLATFORM and the
 * like, which the builder sets itself.
 */
export function checkDefaultBases(
  { stages, globalArgs, directives }: Dockerfile,
  builderArgs: Variables,
  linter: Linter,
): void {
  const options = { escapeToken: directives.escape };
  const values = new Map<string, string>();
  const variables: Variables = (name) => values.get(name) ?? builderArgs(name);
  try {
    for (const { name, value } of globalArgs.flatMap(({ args }) => args)) {
      if (value !== undefined) values.set(name, expand(value, variables, options));
    }
    for (const { from } of stages) {
      if (isImageName(expand(from.image, variables, options))) continue;
      linter.run(RULES.InvalidDefaultArgInFrom, from.range, from.image);
    }
  } catch (error) {
    // The build itself will say so.
    if (!(error instanceof DockerfileError)) throw error;
  }
}

function isImageName(text: string): boolean {
  try {
    parseImageReference(text);
    return true;
  } catch (error) {
    if (isKind(error, 'invalid')) return false;
    throw error;
  }
}

/** Variables of a FROM that no ARG before it declares. `known`: those that one does, and the builder's own. */
export function checkFromVariables(
  from: FromInstruction,
  { unmatched }: Pick<Expansion, 'unmatched'>,
  known: Iterable<string>,
  parent: Linter,
): void {
  const linter = parent.forComments(from.comments);
  const names = new Set(known);
  for (const name of unmatched) {
    if (names.has(name)) continue;
    const near = suggestionFor(name, names);
    linter.run(RULES.UndefinedArgInFrom, from.range, name, ...(near === undefined ? [] : [near]));
  }
}

/** `--platform=$TARGETPLATFORM`, which is as it were not said, and `--platform=linux/amd64`, which is for one only. */
export function checkFromPlatform(
  from: FromInstruction,
  { result, matched, unmatched }: Pick<Expansion, 'result' | 'matched' | 'unmatched'>,
  targetPlatform: string | undefined,
  parent: Linter,
): void {
  const linter = parent.forComments(from.comments);
  const onlyTarget = matched.size === 1 && unmatched.size === 0 && matched.has('TARGETPLATFORM');
  if (onlyTarget && result === targetPlatform) {
    linter.run(RULES.RedundantTargetPlatform, from.range, from.platform ?? '');
  }
  if (matched.size > 0 || unmatched.size > 0) return;
  const platform = readPlatform(result);
  if (!platform) return;
  const stage = from.stage ?? '';
  // A stage that is called after its platform is meant to have it.
  if (stage.includes(platform.os) || stage.includes(platform.architecture)) return;
  linter.run(RULES.FromPlatformFlagConstDisallowed, from.range, result);
}

function readPlatform(text: string): Platform | undefined {
  try {
    return parsePlatform(text);
  } catch (error) {
    if (isKind(error, 'invalid')) return undefined;
    throw error;
  }
}

/** An image that is not for the platform that was asked for. */
export function checkBasePlatform(
  from: FromInstruction,
  image: string,
  wanted: Platform,
  found: Platform,
  linter: Linter,
): void {
  if (wanted.os === found.os && wanted.architecture === found.architecture) return;
  const [expected, actual] = [formatPlatform(wanted), formatPlatform(found)];
  linter.run(RULES.InvalidBaseImagePlatform, from.range, image, expected, actual);
}
