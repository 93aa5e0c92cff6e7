import { invalid } from '#errors/errors.ts';

/** A boolean attribute as Go's ParseBool reads it; an empty value means yes. Throws `invalid`. */
export function booleanAttr(name: string, value: string): boolean {
  if (/^(?:|1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(?:0|f|F|FALSE|false|False)$/.test(value)) return false;
  throw invalid(`non-bool value specified for ${name}: ${JSON.stringify(value)}`);
}

/** SOURCE_DATE_EPOCH as an attribute or as a frontend gives it: seconds since 1970. Throws `invalid`. */
export function epochAttr(name: string, value: string): Date | undefined {
  if (value === '') return undefined;
  if (!/^-?\d{1,12}$/.test(value))
    throw invalid(`invalid ${name}: ${JSON.stringify(value)} is no number of seconds`);
  return new Date(Number(value) * 1000);
}
