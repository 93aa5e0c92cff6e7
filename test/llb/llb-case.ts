import { copyCases } from './cases/copy.ts';
import { diffCases } from './cases/diff.ts';
import { execCases } from './cases/exec.ts';
import { fileCases } from './cases/file.ts';
import { mergeCases } from './cases/merge.ts';
import { mountCases } from './cases/mounts.ts';
import { refusedCases } from './cases/refused.ts';
import { sourceCases } from './cases/sources.ts';
import type { State } from './graph.ts';

/** One idea of what a graph comes to. */
export interface LlbCase {
  /** `copy/wildcard`. */
  readonly name: string;
  readonly graph: (at: Surroundings) => State | Uint8Array;
  /** The client's directories: by name, then by path; `-> target` is a link. */
  readonly locals?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly secrets?: Readonly<Record<string, string>>;
  /** More arguments of buildctl's. */
  readonly args?: readonly string[];
  /** What the message of the failure has in it; undefined: it does not fail. */
  readonly fails?: string;
  /** Files' times count. */
  readonly times?: boolean;
  /** Why BuildKit does it differently; undefined: it does not. */
  readonly differs?: string;
}

/** What a graph may count on wherever it is solved. */
export interface Surroundings {
  /** Of the stand-in busybox. */
  readonly busybox: State;
  readonly registry: string;
  /** Of a web server with `/file` (text), `/named` and `/missing`. */
  readonly web: string;
  /** Of a git repository with two commits. */
  readonly git: string;
  /** The first of them. */
  readonly commit: string;
}

export function llbCases(): readonly LlbCase[] {
  return [
    ...fileCases,
    ...copyCases,
    ...execCases,
    ...mountCases,
    ...mergeCases,
    ...diffCases,
    ...sourceCases,
    ...refusedCases,
  ];
}
