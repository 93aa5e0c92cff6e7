import { absolutePath } from '../files/root-path.ts';
import { fullReference } from '../frontend/inputs/full-reference.ts';
import type { SourceOp } from '../llb/op.ts';

/** A source by the one name that policies know it by, however its client wrote it. */
export function normalSource(source: SourceOp): SourceOp {
  const identifier = normalIdentifier(source.identifier);
  return identifier === source.identifier ? source : { ...source, identifier };
}

function normalIdentifier(identifier: string): string {
  const [, scheme, rest = ''] = /^([a-z0-9+-]+):\/\/(.*)$/s.exec(identifier) ?? [];
  if (scheme === 'docker-image') return `${scheme}://${fullReference(rest)}`;
  if (scheme === 'git') return `${scheme}://${normalGit(rest)}`;
  return identifier;
}

/** `host/path#ref:subdir`: nothing leads out of the repository. */
function normalGit(text: string): string {
  const [, remote = '', ref, subdir = ''] = /^([^#]*)(?:#([^:]*)(?::(.*))?)?$/s.exec(text) ?? [];
  const path = absolutePath(subdir).slice(1);
  if (!ref && path === '') return remote;
  return `${remote}#${ref ?? ''}${path ? `:${path}` : ''}`;
}
