import { csvFields } from './csv.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { parseBoolean } from './go-number.ts';
import type { RunDevice } from './instructions.ts';
import { didYouMean } from './suggestion.ts';

/** A `--device`: a CDI name, alone or as `name=`, and `required`. Throws `DockerfileError`. */
export function parseDevice(text: string): RunDevice {
  let name = '';
  let required = false;
  for (const field of fieldsOf(text)) {
    const equals = field.indexOf('=');
    const key = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    const value = equals < 0 ? undefined : field.slice(equals + 1);
    if (key === 'required') {
      const parsed = parseBoolean(value ?? 'true');
      if (parsed === undefined) throw new DockerfileError(`invalid value for ${key}: ${value}`);
      required = parsed;
    } else if (key === 'name' && value !== undefined) {
      if (name !== '') throw new DockerfileError(`device name already set to ${name}`);
      name = value;
    } else if (name === '') {
      // A CDI name has an `=` of its own.
      name = field;
    } else if (value === undefined) {
      throw new DockerfileError(`invalid field '${field}' must be a key=value pair`);
    } else {
      const suggestion = didYouMean(key, ['name', 'required']);
      throw new DockerfileError(`unexpected key '${key}' in '${field}'${suggestion}`);
    }
  }
  return { name, required };
}

function fieldsOf(text: string): string[] {
  try {
    return csvFields(text);
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    throw new DockerfileError(`failed to parse csv devices: ${error.message}`);
  }
}
