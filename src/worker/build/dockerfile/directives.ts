import { DockerfileError } from './dockerfile-error.ts';

/** Parser directives: the `# name=value` comments before everything else in a Dockerfile. */
export interface Directives {
  readonly escape: '\\' | '`';
  readonly syntax?: string;
  readonly check?: string;
}

const DIRECTIVE = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.*)$/;
const KNOWN: readonly string[] = ['escape', 'syntax', 'check'];

/** Reads directives up to the first line that is none; they may not be repeated. */
export function readDirectives(lines: readonly string[]): Directives {
  const found = new Map<string, string>();
  for (const [index, line] of lines.entries()) {
    const match = DIRECTIVE.exec(line.trimStart());
    const name = match?.[1]?.toLowerCase() ?? '';
    const value = match?.[2]?.trim() ?? '';
    if (value === '' || !KNOWN.includes(name)) break;
    if (found.has(name)) {
      throw new DockerfileError(`only one ${name} parser directive can be used`, index + 1);
    }
    found.set(name, value);
  }
  const escapeToken = found.get('escape') ?? '\\';
  if (escapeToken !== '\\' && escapeToken !== '`') {
    throw new DockerfileError(`invalid escape token '${escapeToken}' does not match \` or \\`, 1);
  }
  const syntax = found.get('syntax');
  const check = found.get('check');
  return {
    escape: escapeToken,
    ...(syntax !== undefined && { syntax }),
    ...(check !== undefined && { check }),
  };
}
