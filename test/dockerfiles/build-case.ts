import { globSync, readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';

const CASES = resolve(import.meta.dirname, 'cases');

/** One idea of how Dockerfiles are built, with all that the build needs. */
export interface BuildCase {
  /** `copy/chown-name`. */
  readonly name: string;
  readonly idea: string;
  readonly files: readonly CaseFile[];
  /** BuildKit's frontend attributes. */
  readonly options: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
  /** What the message of the failure has in it; undefined: it does not fail. */
  readonly fails?: string;
  /** Why BuildKit itself does it differently; undefined: it does not. */
  readonly differs?: string;
}

export interface CaseFile {
  /** `dockerfile`, `context`, or the name of a further directory of the client's. */
  readonly directory: string;
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
  /** It is a symbolic link. */
  readonly target?: string;
}

/**
 * All cases. A case is a text file: what it is about, then sections that begin with `-- NAME --`: `Dockerfile`,
 * `context/PATH`, `named/DIRECTORY/PATH`, `dockerfile/PATH`, `secret/ID`, `options`, `fails`, `differs`. A file may
 * have a mode (`-- context/a 0755 --`), be base64 or crlf, or be a link (`-- context/a -> b --`).
 */
export function buildCases(): BuildCase[] {
  const files = globSync('**/*.txt', { cwd: CASES }).sort();
  return files.map((file) =>
    readCase(relative('.', file).replace(/\.txt$/, ''), readFileSync(resolve(CASES, file), 'utf8')),
  );
}

function readCase(name: string, text: string): BuildCase {
  const [idea = '', ...parts] = text.split(/^-- (.+) --\n/m);
  const files: CaseFile[] = [];
  const options: Record<string, string> = {};
  const secrets: Record<string, string> = {};
  const notes: { fails?: string; differs?: string } = {};
  for (let at = 0; at < parts.length; at += 2) {
    const [head = '', body = ''] = parts.slice(at, at + 2);
    if (head === 'options') Object.assign(options, readOptions(body));
    else if (head === 'fails' || head === 'differs') notes[head] = body.trim();
    else if (head.startsWith('secret/')) secrets[head.slice('secret/'.length)] = body;
    else files.push(readFile(head, body));
  }
  for (const { directory } of files) {
    if (directory !== 'context' && directory !== 'dockerfile')
      options[`context:${directory}`] = `local:${directory}`;
  }
  return { name, idea: idea.trim(), files, options, secrets, ...notes };
}

function readOptions(body: string): Record<string, string> {
  const lines = body.split('\n').filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => {
      // Names of options have colons, and none has an equals sign.
      const equals = line.indexOf('=');
      return [line.slice(0, equals), line.slice(equals + 1)];
    }),
  );
}

function readFile(head: string, body: string): CaseFile {
  const [, name = '', target, attribute] = /^(.+?)(?: -> (.+)| (0[0-7]{3}|base64|crlf))?$/.exec(head)!;
  const { directory, path } = placeOf(name);
  const content =
    attribute === 'base64'
      ? Buffer.from(body, 'base64')
      : Buffer.from(attribute === 'crlf' ? body.replaceAll('\n', '\r\n') : body);
  const mode = attribute?.startsWith('0') ? Number.parseInt(attribute, 8) : 0o644;
  return { directory, path, content, mode, ...(target !== undefined && { target }) };
}

function placeOf(name: string): { directory: string; path: string } {
  if (name === 'Dockerfile') return { directory: 'dockerfile', path: name };
  const [, directory, path] = /^(?:named\/)?([^/]+)\/(.+)$/.exec(name) ?? [];
  if (directory === undefined || path === undefined) throw new Error(`no place for ${name}`);
  return { directory, path };
}
