import { DockerfileError } from './dockerfile-error.ts';

/**
 * The fields of one line of CSV, as `--mount` and `--device` have them: commas, and quotes around a field that has
 * some of its own. Throws `DockerfileError` in the words of Go's encoding/csv.
 */
export function csvFields(line: string): string[] {
  if (line === '') throw new DockerfileError('EOF');
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    const { field, end } = line[at] === '"' ? quotedField(line, at) : plainField(line, at);
    fields.push(field);
    if (end >= line.length) return fields;
    at = end + 1;
  }
}

function plainField(line: string, start: number): { field: string; end: number } {
  const comma = line.indexOf(',', start);
  const end = comma < 0 ? line.length : comma;
  const field = line.slice(start, end);
  const quote = field.indexOf('"');
  if (quote >= 0) throw parseError(line, start + quote, 'bare " in non-quoted field');
  return { field, end };
}

function quotedField(line: string, start: number): { field: string; end: number } {
  const extraneous = 'extraneous or missing " in quoted-field';
  let field = '';
  let at = start + 1;
  for (;;) {
    const quote = line.indexOf('"', at);
    if (quote < 0) throw parseError(line, at, extraneous);
    field += line.slice(at, quote);
    const next = line[quote + 1];
    if (next === undefined || next === ',') return { field, end: quote + 1 };
    if (next !== '"') throw parseError(line, quote, extraneous);
    field += '"';
    at = quote + 2;
  }
}

function parseError(line: string, at: number, what: string): DockerfileError {
  const column = Buffer.byteLength(line.slice(0, at)) + 1;
  return new DockerfileError(`parse error on line 1, column ${column}: ${what}`);
}
