import type { Range } from '../../llb/source-info.ts';
import { locationOf } from './location.ts';
import { OUTLINE, type SubrequestResult, subrequestResult } from './subrequest.ts';
import { formatTable } from './table.ts';

/** What can be given to a build of one stage. */
export interface Outline {
  /** The stage; undefined when it has no name. */
  readonly name?: string;
  readonly description?: string;
  readonly args: readonly OutlineArg[];
  readonly secrets: readonly OutlineService[];
  readonly ssh: readonly OutlineService[];
}

export interface OutlineArg {
  readonly name: string;
  readonly description?: string;
  /** What it comes to when nothing else is given; '' for nothing. */
  readonly value: string;
  readonly range: Range;
}

/** A secret or an SSH agent that a RUN mounts. */
export interface OutlineService {
  readonly name: string;
  readonly required: boolean;
  readonly range: Range;
}

/** `docker build --call=outline`. `source` is the Dockerfile. */
export function outlineResult(outline: Outline, source: Uint8Array): SubrequestResult {
  const args = inOrder(outline.args).map(({ name, description, value, range }) => ({
    name,
    ...(description && { description }),
    ...(value !== '' && { value }),
    location: locationOf(range),
  }));
  const json = {
    ...(outline.name && { name: outline.name }),
    ...(outline.description && { description: outline.description }),
    ...(args.length > 0 && { args }),
    ...(outline.secrets.length > 0 && { secrets: inOrder(outline.secrets).map(service) }),
    ...(outline.ssh.length > 0 && { ssh: inOrder(outline.ssh).map(service) }),
    sources: [Buffer.from(source).toString('base64')],
  };
  return subrequestResult(OUTLINE, json, outlineText(outline));
}

function service({ name, required, range }: OutlineService) {
  return { name, ...(required && { required }), location: locationOf(range) };
}

function outlineText(outline: Outline): string {
  const target = [
    ['TARGET:', outline.name || '(default)'],
    ...(outline.description ? [['DESCRIPTION:', outline.description]] : []),
  ];
  const args = inOrder(outline.args).map(({ name, value, description = '' }) => [name, value, description]);
  return [
    outline.name || outline.description ? `${formatTable(target, 1)}\n` : '',
    section(['BUILD ARG', 'VALUE', 'DESCRIPTION'], args),
    section(['SECRET', 'REQUIRED'], inOrder(outline.secrets).map(serviceRow)),
    section(['SSH', 'REQUIRED'], inOrder(outline.ssh).map(serviceRow)),
  ].join('');
}

function section(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? '' : `${formatTable([head, ...rows], 3)}\n`;
}

function serviceRow({ name, required }: OutlineService): string[] {
  return [name, required ? 'true' : ''];
}

/** As they come in the file. */
function inOrder<T extends { readonly range: Range }>(items: readonly T[]): T[] {
  return [...items].sort((a, b) => a.range.start.line - b.range.start.line);
}
