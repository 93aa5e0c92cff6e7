import type { Digest } from '#oci/digest.ts';
import { digestOf } from '#oci/digest.ts';
import type { ImageConfig } from '#oci/image-config.ts';
import type { StageState } from '../compile/stage-state.ts';

/** The configuration of the image that a stage has come to. The same state gives the same bytes. */
export function imageConfigOf(state: StageState): Uint8Array {
  const { os, architecture, variant } = state.platform;
  const config: ImageConfig = {
    architecture,
    ...(variant && { variant }),
    ...(state.author !== undefined && { author: state.author }),
    config: sorted(state.config),
    ...(state.createdAt !== undefined && { created: state.createdAt }),
    history: state.history,
    os,
    rootfs: { type: 'layers', diff_ids: state.diffIds },
  };
  return Buffer.from(JSON.stringify(config));
}

/** What the image would be called after each step; undefined while there is none. */
export function imageIdOf(state: StageState): Digest | undefined {
  if (state.image) return state.image;
  return state.history.length === 0 ? undefined : digestOf(imageConfigOf(state));
}

/** Members in one order, however the instructions came. */
function sorted<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) as T;
}
