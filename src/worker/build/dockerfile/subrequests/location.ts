import type { Range } from '../../llb/source-info.ts';
import { lineByLine, mergeRanges } from '../ranges.ts';

/** `pb.Location` as Go's encoding/json writes it: what is 0 is left out. */
export interface Location {
  readonly sourceIndex?: number;
  readonly ranges?: readonly { readonly start: Position; readonly end: Position }[];
}

interface Position {
  readonly line?: number;
  readonly character?: number;
}

/** Of an instruction: each of its lines. */
export function locationOf(range: Range): Location {
  return { ranges: lineByLine(range).map(written) };
}

/** Of an error, which may have several places: those lines, each once. */
export function locationOfAll(ranges: readonly Range[]): Location {
  return ranges.length === 0 ? {} : { ranges: mergeRanges(ranges.flatMap(lineByLine)).map(written) };
}

function written({ start, end }: Range) {
  return { start: position(start), end: position(end) };
}

function position({ line, character }: Range['start']): Position {
  return { ...(line !== 0 && { line }), ...(character !== 0 && { character }) };
}
