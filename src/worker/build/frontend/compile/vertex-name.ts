import type { Platform } from '#oci/platform.ts';
import { DockerfileError } from '../../dockerfile/dockerfile-error.ts';
import { type ExpandOptions, expand, type Variables } from '../../dockerfile/expansion.ts';
import type { Environment } from '../graph/environment.ts';
import { normalizePlatform, platformId, readPlatform } from '../platforms.ts';
import type { Stage } from './stage.ts';

export interface NameOptions {
  /** Shown for builds of several platforms; undefined: not. */
  readonly platform: Platform | undefined;
  readonly onbuild?: boolean;
  readonly environment?: Environment;
}

/** Counts a step of a stage and names it: `[linux/amd64 build 2/5] ONBUILD RUN make`. */
export function nameStep(stage: Stage, text: string, options: NameOptions): string {
  if (stage.stepCount === 0) return text;
  stage.stepsNamed++;
  return stepName(stage, text, options);
}

/** Names the step that was counted last once more. */
export function stepName(stage: Stage, text: string, options: NameOptions): string {
  if (stage.stepCount === 0) return text;
  const { platform, onbuild, environment } = options;
  const where = platform ? `${platformId(platform)}${crossTarget(platform, environment)} ` : '';
  const label = stage.label ? `${stage.label} ` : '';
  const total = String(stage.stepCount);
  const step = String(stage.stepsNamed).padStart(total.length);
  return `[${where}${label}${step}/${total}] ${onbuild ? 'ONBUILD ' : ''}${text}`;
}

/** An instruction as progress shows it: keyword in upper case, variables expanded where that works. */
export function shownInstruction(text: string, variables: Variables, options: ExpandOptions): string {
  let shown = text;
  try {
    shown = expand(text, variables, options);
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
  }
  const space = shown.indexOf(' ');
  return space < 0 ? shown.toUpperCase() : shown.slice(0, space).toUpperCase() + shown.slice(space);
}

/** `->arm64`: the stage runs here and builds for there. */
function crossTarget(base: Platform, environment: Environment | undefined): string {
  const target = environment && targetOf(environment, base);
  if (!target) return '';
  if (target.os !== base.os) return `->${platformId(target)}`;
  if (target.architecture === base.architecture) return '';
  return `->${target.architecture}${target.variant ? `/${target.variant}` : ''}`;
}

/** What the TARGET… args say that a stage has declared. */
function targetOf(environment: Environment, base: Platform): Platform | undefined {
  const [os, architecture, variant] = ['TARGETOS', 'TARGETARCH', 'TARGETVARIANT'].map((name) =>
    environment.get(name),
  );
  const whole = environment.get('TARGETPLATFORM');
  if (whole !== undefined) {
    try {
      return readPlatform(whole);
    } catch {
      // Somebody gave it another meaning.
    }
  }
  if (os === undefined && architecture === undefined && variant === undefined) return undefined;
  return normalizePlatform({
    os: os || base.os,
    architecture: architecture || base.architecture,
    ...(variant && { variant }),
  });
}
